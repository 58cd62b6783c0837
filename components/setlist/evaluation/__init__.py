"""Evaluation: metrics, statistics, the evaluation of model folders, and the gate.

metric           what a metric is, and how users add their own
metric_names     metrics by name, such as "ndcg@10"
accuracy         metrics that compare lists with the truth
exposure         metrics of lists alone: coverage, concentration, diversity, novelty
ranking          the input of every metric: lists, truth, history and catalogue
tag_similarity   sums of Jaccard indices between the tags of items
catalogue        the catalogue of an evaluation, and its parts
audience         the listeners who are evaluated, with their truth and history
contenders       the models of a run, or lists in place of a model, and their roles
given_tables     tables that somebody gives: data frames and files
given_lists      lists that somebody gives, as codes of a catalogue
given_truth      what listeners played, as tables that somebody gives
lists            the lists that a model recommends to the audience
requests         the requests that are kept, to be repeated in a fresh process
latency          whether a model answers in time on a node that it shares
inspection       the check that a model gives the same answers in a fresh process
evaluator        evaluates every model of a run
results          the evaluation folder, and how it is read
statistics       intervals and tests over listeners
silent_models    heuristics that list nothing, and would be zeros in any table
groups           groups of listeners that are compared one by one
intervals        the intervals of an evaluation, computed once and kept in its folder
shown_intervals  which intervals are shown, and so computed beforehand
progress         how far a long computation is
policy           what the gate demands
case             what a rule of the policy looks at
integrity        rules that no metric makes up for
comparison       paired comparisons with the heuristics, the live model and the anchor
harm             the search for a group of listeners whom a candidate serves worse
guardrails       bounds on further metrics
fitness          whether a model is fit to serve
rules            all rules of the policy, with those of installed packages
going_live       what goes live: the candidate, a heuristic in its place, or nothing
gate             the verdict of a policy on an evaluation
verdict          the document that says what becomes of the candidate, and what goes live
notebook         results as a notebook shows them
"""
