"""Questions about the sample corpus, each with the one document that answers it.

The kinds are about the first rank, as all-MiniLM-L6-v2 and BM25 see it. Fused, both rankings have the answer first, by
every rule in `vstore.search.fuse`.
"""

from dataclasses import dataclass
from typing import Literal

Kind = Literal["keywords", "meaning", "both"]


@dataclass(frozen=True, slots=True)
class DemoQuery:
    """A question, what it takes to answer it, and where the answer is.

    `kind` is "keywords" when BM25 alone puts the answer first, "meaning" when only the embedding does, and "both" when
    neither does but their fusion does. `answer` is a path relative to the corpus, with `#id` for a row of a JSONL file.
    `note` says in a sentence what makes the question hard, and what each ranking prefers.
    """

    text: str
    kind: Kind
    answer: str
    note: str


DEMO_QUERIES: tuple[DemoQuery, ...] = (
    DemoQuery(
        "E-4471",
        "keywords",
        "tickets/tickets.jsonl#T-109",
        "To the embedding one code is like another: it prefers a list of part numbers; one ticket has this very code.",
    ),
    DemoQuery(
        "pattern 77-3114",
        "keywords",
        "letters/foundry-quote.txt",
        "The number tells the embedding nothing: it offers a table of visitors, BM25 the one letter with the number.",
    ),
    DemoQuery(
        "unixepoch",
        "keywords",
        "code/schema.sql",
        "A name from program code: the embedding offers the page about naming things, BM25 the line that has it.",
    ),
    DemoQuery(
        "cardiac arrest",
        "meaning",
        "howto/first-aid.md",
        "Neither word occurs anywhere; the page speaks of somebody who collapses and of pressing the chest.",
    ),
    DemoQuery(
        "newborn infants",
        "meaning",
        "minutes/2024-10-10.md",
        "Neither word occurs anywhere; one item of the minutes names two girls born on 21 September.",
    ),
    DemoQuery(
        "may we celebrate our marriage with you?",
        "meaning",
        "web/faq.html",
        "The words shared with the answer are small ones, and letters full of 'we' and 'you' have more of them.",
    ),
    DemoQuery(
        "may I take my pets with me?",
        "meaning",
        "web/faq.html",
        "The answer says 'dog'; a letter about being woken at night shares more of the question's small words.",
    ),
    DemoQuery(
        "bread from 24-063 tastes bitter",
        "both",
        "letters/baker-complaint.txt",
        "Meaning prefers a page on sour loaves, keywords a sieve test of 24-063; the complaint is second in both.",
    ),
    DemoQuery(
        "shipment 5512 arrived broken",
        "both",
        "letters/claim-smashed-glass.txt",
        "Meaning prefers another damaged parcel, keywords a bird, 5512, that arrived; the claim is second in both.",
    ),
    DemoQuery(
        "invoice 3072 paid twice",
        "both",
        "tickets/tickets.jsonl#T-117",
        "Meaning prefers a family charged twice, keywords a dinghy with sail 3072; the oak bill is second in both.",
    ),
)
