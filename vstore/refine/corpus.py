"""Made-up queries for a store that has been asked little: the rarest words of some of its chunks.

They are weaker teachers than what people ask: on judged collections they gained nothing that was safe. So they are
added only when asked for, to the training side alone, and what they teach is judged by real queries. Pages that were
fetched from the web have no part in them: a stranger would choose what is learned.
"""

from __future__ import annotations

import numpy as np

from vstore import config
from vstore.addresses import FETCHED
from vstore.arguments import scope
from vstore.refine.guard import Split
from vstore.refine.queries import AskedQuery
from vstore.storage import Index, Snapshot


def made_up(index: Index, divided: Split, count: int, *, seed: int) -> tuple[AskedQuery, ...]:
    """Up to `count` queries from chunks drawn at random, none of them a held-out query or nearly one."""
    rng = np.random.default_rng([seed, 11])
    texts: dict[str, None] = {}
    with index.snapshot() as snapshot:
        own = scope(where={"$not": FETCHED})
        documents = [document.id for document in snapshot.documents(own, config.UNLIMITED)]
        for place in rng.permutation(len(documents))[:count]:
            chunk_ids = snapshot.chunk_ids(documents[place])
            if chunk_ids and (words := _rarest(snapshot, int(rng.choice(chunk_ids)))):
                texts[words] = None
    leaking = divided.leaks(texts)
    return tuple(AskedQuery(text) for text in texts if text not in leaking)


def _rarest(snapshot: Snapshot, chunk_id: int) -> str:
    """The words of a chunk that fewest others have, in its order; words that no other chunk has are often mistakes."""
    chunk = snapshot.chunks([chunk_id])[chunk_id]
    terms = [term for term in snapshot.terms(chunk.text) if term.document_frequency > 1]
    rare = set(sorted(terms, key=lambda term: (term.document_frequency, term.text))[: config.MADE_UP_WORDS])
    return " ".join(term.text for term in terms if term in rare)
