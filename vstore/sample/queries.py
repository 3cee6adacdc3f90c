"""Questions about the sample corpus, each with the one document that answers it.

The kinds are about the first rank, as all-MiniLM-L6-v2 and BM25 see it. In every case the fused list has the answer
first.
"""

from dataclasses import dataclass
from typing import Literal

Kind = Literal["keywords", "meaning", "both"]


@dataclass(frozen=True, slots=True)
class DemoQuery:
    """A question, what it takes to answer it, and where the answer is.

    `kind` is "keywords" when BM25 alone puts the answer first, "meaning" when only the embedding does, and "both" when
    neither does but their fusion does. `answer` is a path relative to the corpus, with `#id` for a row of a JSONL file.
    `note` says in a sentence what makes the question hard.
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
        "An error code means nothing to the embedding, which offers part numbers; one ticket has the very code.",
    ),
    DemoQuery(
        "component 77-3114",
        "keywords",
        "letters/foundry-quote.txt",
        "The number stands once, in the middle of a letter about something else, and tells the embedding nothing.",
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
        "smuggled liquor",
        "meaning",
        "articles/history-of-the-mill.md",
        "Neither word occurs anywhere; one section of a long article has excise men finding brandy under the bran.",
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
        "bread from 24-063 has a bitter taste",
        "both",
        "letters/baker-complaint.txt",
        "Meaning prefers a page on sour loaves, keywords a sieve test of the batch; only the complaint is about both.",
    ),
    DemoQuery(
        "shipment 5512 arrived broken",
        "both",
        "letters/claim-smashed-glass.txt",
        "Meaning prefers the carrier's rules, keywords a bird with ring 5512; only the claim is about both.",
    ),
)
