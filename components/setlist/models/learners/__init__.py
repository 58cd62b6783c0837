"""Simple learners: fitted in seconds to a minute; the candidate has to beat them."""
