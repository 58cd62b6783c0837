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
groups           groups of listeners that are compared one by one
intervals        the intervals of an evaluation, computed once and kept in its folder
progress         how far a long computation is
harm             the search for a group of listeners whom a candidate serves worse
policy           what the gate demands
rules            the rules of the policy, applied to an evaluation
gate             the decision which model of an evaluation goes live
verdict          the document with this decision
notebook         results as a notebook shows them
"""
