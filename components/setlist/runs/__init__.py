"""What a run of the pipeline is: planned, resumed, pushed, recorded and announced.

plan            the window, the input's fingerprint and the models to compare with
scheduled_time  the `as_of` of a run that a schedule started
checkpoints     where an interrupted training resumes
promotion       fetch live models, push a winner, promote, roll back
refit           the winner trained again on all days
refit_record    the record of a refit, which push reads
refit_check     whether the refitted model is still the model that was evaluated
refresh         the live model over a newer item table
record          the result of a run, in the store
announcement    the result of a run, to a webhook and a push gateway
revision_diff   what differs between two revisions
"""
