#!/usr/bin/env bash
# Usage: manifests/bucket/iam.sh PROJECT BUCKET PREFIX DATA_BUCKET
#
# Gives the accounts of manifests/cluster/service-accounts.yaml what they need of Google Cloud Storage,
# with gcloud, and no more. May be run again. PREFIX is that of the store: gs://BUCKET/PREFIX.
#
#   account          where                        role                         for
#   setlist-runner   gs://BUCKET/PREFIX/          storage.objectUser           the store: push, HEAD,
#                                                                              checkpoints, records
#   setlist-runner   gs://BUCKET/artifacts/       storage.objectUser           artifacts between steps
#   setlist-runner   gs://DATA_BUCKET             storage.objectViewer         the tables
#   setlist-server   gs://BUCKET/PREFIX/          storage.objectViewer         the live model
#
# To write an object anew takes the right to delete it, and a push that was cut off writes its files
# anew. So the runner could delete revisions; the bucket keeps what is deleted for a week. Nobody here
# may change the bucket itself, or who has access to it.
set -euo pipefail
[ $# -eq 4 ] || { sed -n '2,4p' "$0" >&2; exit 2; }
project=$1 bucket=$2 prefix=${3%/} data=$4

# An object is named by the first form, a listing by the second.
below() {
  echo "resource.name.startsWith('projects/_/buckets/$bucket/objects/$1/') ||" \
    "api.getAttribute('storage.googleapis.com/objectListPrefix', '').startsWith('$1/')"
}

grant() { # grant ACCOUNT BUCKET ROLE [FOLDER]
  local condition=None
  # gcloud splits it at what stands between ^ and ^; the expression has commas of its own.
  [ $# -lt 4 ] || condition="^;^title=below-${4//\//-};expression=$(below "$4")"
  gcloud storage buckets add-iam-policy-binding "gs://$2" --project="$project" \
    --member="serviceAccount:$1@$project.iam.gserviceaccount.com" --role="roles/storage.$3" \
    --condition="$condition" >/dev/null
}

# Conditions need uniform access; and nothing in the bucket is ever public.
gcloud storage buckets update "gs://$bucket" --project="$project" \
  --uniform-bucket-level-access --public-access-prevention --soft-delete-duration=7d

for account in kubeflow/setlist-runner setlist/setlist-server; do
  name=${account#*/}
  email=$name@$project.iam.gserviceaccount.com
  gcloud iam service-accounts describe "$email" --project="$project" >/dev/null 2>&1 ||
    gcloud iam service-accounts create "$name" --project="$project"
  # Workload Identity: the Kubernetes account NAMESPACE/NAME, and no other, may act as this one.
  gcloud iam service-accounts add-iam-policy-binding "$email" --project="$project" \
    --role=roles/iam.workloadIdentityUser --condition=None \
    --member="serviceAccount:$project.svc.id.goog[$account]" >/dev/null
done

grant setlist-runner "$bucket" objectUser "$prefix"
grant setlist-runner "$bucket" objectUser artifacts
grant setlist-runner "$data" objectViewer
grant setlist-server "$bucket" objectViewer "$prefix"
# For `setlist serve --log gs://BUCKET/served`, which looks whether a file arrived before it repeats it:
# grant setlist-server "$bucket" objectCreator served
# grant setlist-server "$bucket" objectViewer served
# For tables of BigQuery, setlist-runner needs roles/bigquery.dataViewer on the dataset and
# roles/bigquery.readSessionUser on the project.
# For a server of Spark (manifests/spark), with setlist/setlist-spark among the accounts above; tables
# and results are handed over below gs://BUCKET/setlist-scratch, the setting `engine.scratch`:
# grant setlist-spark "$data" objectViewer
# grant setlist-spark "$bucket" objectUser setlist-scratch
# grant setlist-runner "$bucket" objectUser setlist-scratch
