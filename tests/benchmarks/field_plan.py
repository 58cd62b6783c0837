"""What the comparison asks of every tool: which lists, against which, and with what bounds."""

from dataclasses import dataclass

HONEST = "honest"
DRAWS = 20
"""Of the order in which the lists a_hair_better show what is popular in the country."""
BOUNDS = {
    "better": 0.02,
    "tolerance": 0.1,
    "at_least": 30,
    "believable": 3.0,
    "coverage": 0.05,
}
"""The default policy. NDCG@10 has to be better than that of each rival by the share `better`, worse
than that of the first rival by no more than `tolerance` in any group of `at_least` listeners, and
at most `believable` times as high; and the lists have to show the share `coverage` of all items."""


@dataclass(frozen=True)
class Trial:
    """Lists with one fault, or none, and the lists that they have to beat.

    Attributes:
        name: of the file of the lists.
        does: what is wrong with them, for the table.
        against: names of the files; the first is what people get now.
        rules: beginnings of the names of the rules of the gate that have to stop them; empty for
            lists that may go live.
    """

    name: str
    does: str
    against: tuple[str, ...] = ("co_visited", "popular")
    rules: tuple[str, ...] = ()


TRIALS = (
    Trial(HONEST, "nothing: close to what everybody likes"),
    Trial("one_region", "hits of Brazil for everybody", rules=("better than ", "no group by ")),
    Trial("one_region_abroad", "hits of Brazil for Sweden alone", rules=("no group by country",)),
    Trial(
        "the_same_ten",
        "the ten items that serve everybody best, for everybody",
        against=("popular",),
        rules=("coverage@10",),
    ),
    Trial(
        "a_hair_better",
        f"popular in the country in a slightly other order, the luckiest of {DRAWS} draws",
        against=("popular_by_country",),
        rules=("better than the lists popular_by_country",),
    ),
    Trial("a_leak", "knows the test period by heart", rules=("not too good to be true",)),
    Trial("shuffled_ids", "right lists under wrong ids", rules=("better than ", "no group by ")),
    Trial(
        "bad_for_newcomers",
        "right for everybody but newcomers",
        rules=("no group by history length",),
    ),
)
