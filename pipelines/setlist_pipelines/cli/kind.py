"""`setlist kind`: a cluster on this machine, to test on before a real one."""

from typing import Annotated

import typer

from setlist_pipelines.cli.help_page import Commands, examples

kind = Commands(
    help="A cluster on this machine, to test every step on: up, load, test, down.",
    epilog=examples(
        "setlist kind up", "setlist kind load", "setlist kind test", "setlist kind down"
    ),
)

Image = Annotated[str, typer.Argument(help="An image of this machine's engine.")]


@kind.command(epilog=examples("setlist kind up --kubeflow"))
def up(
    kubeflow: Annotated[
        bool, typer.Option("--kubeflow", help="Also install Kubeflow Pipelines, standalone.")
    ] = False,
) -> None:
    """Create the cluster, with a stand-in for Google Cloud Storage in it. May be run again."""
    from setlist_pipelines.laptop.kind import CONTEXT, up

    up(kubeflow)
    typer.echo(f"kubectl's context {CONTEXT} is up; next: setlist kind load IMAGE", err=True)


@kind.command(epilog=examples("export SETLIST_IMAGE=$(setlist kind load setlist:latest)"))
def load(image: Image = "setlist:latest") -> None:
    """Put the image on the cluster, and print its reference by digest."""
    from setlist_pipelines.laptop.kind import load

    typer.echo(load(image))
    typer.echo(f"next: setlist kind test {image}", err=True)


@kind.command(
    name="test",
    epilog=examples("setlist kind test setlist:latest -k push"),
    context_settings={"allow_extra_args": True, "ignore_unknown_options": True},
)
def suite(
    more: typer.Context,
    image: Annotated[str, typer.Argument(help="As it was loaded.")] = "setlist:latest",
    kubeflow: Annotated[
        bool,
        typer.Option("--kubeflow", help="Also submit the whole pipeline to Kubeflow Pipelines."),
    ] = False,
) -> None:
    """Run every step as a pod, with good and bad input; what follows goes to pytest, e.g. -k push.

    Ends with the exit code of pytest.
    """
    from setlist_pipelines.laptop.kind import test

    raise typer.Exit(test(image, kubeflow, more.args))


@kind.command(epilog=examples("setlist kind down"))
def down() -> None:
    """Delete the cluster and all that is in it."""
    from setlist_pipelines.laptop.kind import down

    down()
