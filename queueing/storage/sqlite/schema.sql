-- Version 1. Times are epoch seconds, durations seconds.
--
-- A commit writes whole pages, so what a step costs is how many B-trees it touches. A post of one
-- message touches three: messages, places, and the index by expiry. Hence
--   * ids have no index: the number of a message, its rowid, is found from its id (numbering.py);
--   * a queue's counters lie in `places`, beside its newest free message, on the same page;
--   * a message is written once: what changes about it is in its place, not beside its body.

CREATE TABLE queues (
    project    TEXT    NOT NULL,
    name       TEXT    NOT NULL,
    id         INTEGER NOT NULL,  -- of this queue: another one when it is deleted and made again
    generation INTEGER NOT NULL,  -- of its messages: another one after each purge
    version    TEXT    NOT NULL,  -- of its metadata
    PRIMARY KEY (project, name)
) WITHOUT ROWID;

-- The metadata of those queues whose version is not "".
CREATE TABLE documents (
    queue    INTEGER PRIMARY KEY,
    document BLOB NOT NULL
);

-- How many queues each project has.
CREATE TABLE projects (
    project TEXT    PRIMARY KEY,
    queues  INTEGER NOT NULL
) WITHOUT ROWID;

-- Deleted queues: the sequences and fences of one that is made again go on from here. Once `now` has
-- passed them by far they do so by themselves.
CREATE TABLE gone (
    project       TEXT    NOT NULL,
    name          TEXT    NOT NULL,
    last_sequence INTEGER NOT NULL,
    last_fence    INTEGER NOT NULL,
    forget_at     REAL    NOT NULL,
    PRIMARY KEY (project, name)
) WITHOUT ROWID;
CREATE INDEX gone_forgettable ON gone (forget_at);

-- One row for the whole store.
CREATE TABLE store (
    next_number INTEGER NOT NULL  -- for the id of a queue, for a generation
);
INSERT INTO store VALUES (1);

-- What is fixed about a message once it was posted.
CREATE TABLE messages (
    number     INTEGER PRIMARY KEY,
    generation INTEGER NOT NULL,
    sequence   INTEGER NOT NULL,
    id         TEXT    NOT NULL,
    posted_at  REAL    NOT NULL,
    client_id  TEXT    NOT NULL,
    checksum   TEXT,
    body       BLOB    NOT NULL
);

-- Where each message is now, and what can change about it.
CREATE TABLE places (
    generation  INTEGER NOT NULL,
    pile        INTEGER NOT NULL,  -- 0 claimed, 1 delayed, 2 free; 3: the ledger, whose sequence is 0
    sequence    INTEGER NOT NULL,
    number      INTEGER,           -- of the message
    expires_at  REAL,
    ttl         INTEGER,
    claim_count INTEGER,
    due_at      REAL,              -- claimed, delayed: when it is free again
    claim       TEXT,              -- claimed: the id of the claim
    -- The ledger of the generation. `total` and `claimed` count rows, so they include messages that
    -- are expired and claims that are over, until these have been swept or brought back.
    last_sequence INTEGER,
    last_fence    INTEGER,
    total         INTEGER,
    claimed       INTEGER,
    sweep_at      REAL,            -- nothing of the generation expires before this; NULL: nothing at all
    PRIMARY KEY (generation, pile, sequence)
) WITHOUT ROWID;

CREATE INDEX expiring ON places (generation, expires_at) WHERE expires_at IS NOT NULL;
CREATE INDEX waiting  ON places (generation, due_at, expires_at) WHERE due_at IS NOT NULL;
CREATE INDEX ledgers  ON places (sweep_at) WHERE sweep_at IS NOT NULL;

-- Generations without a queue: purged, deleted. Their messages are taken away by and by.
CREATE TABLE abandoned (
    generation INTEGER PRIMARY KEY
);

CREATE TABLE claims (
    queue      INTEGER NOT NULL,
    id         TEXT    NOT NULL,
    fence      INTEGER NOT NULL,
    ttl        INTEGER NOT NULL,
    claimed_at REAL    NOT NULL,
    ends_at    REAL    NOT NULL,
    sequences  TEXT    NOT NULL,  -- what it took, as a JSON array; some may be gone since
    PRIMARY KEY (queue, id)
) WITHOUT ROWID;

CREATE INDEX ending ON claims (ends_at);

-- What follows outlives the queue that it belongs to.

CREATE TABLE dead_letters (
    number      INTEGER PRIMARY KEY,  -- in the order of burial
    project     TEXT    NOT NULL,
    name        TEXT    NOT NULL,
    burial      TEXT    NOT NULL,
    target      TEXT    NOT NULL,
    id          TEXT    NOT NULL,
    sequence    INTEGER NOT NULL,
    body        BLOB    NOT NULL,
    ttl         INTEGER NOT NULL,
    posted_at   REAL    NOT NULL,
    expires_at  REAL    NOT NULL,
    client_id   TEXT    NOT NULL,
    claim_count INTEGER NOT NULL,
    checksum    TEXT
);
CREATE INDEX letters_of_queue ON dead_letters (project, name, number);
CREATE INDEX letters_by_burial ON dead_letters (burial);
CREATE INDEX letters_expiring ON dead_letters (expires_at);

-- Burials that a queue has accepted.
CREATE TABLE burials (
    project    TEXT NOT NULL,
    name       TEXT NOT NULL,
    burial     TEXT NOT NULL,
    expires_at REAL NOT NULL,
    PRIMARY KEY (project, name, burial)
) WITHOUT ROWID;
CREATE INDEX burials_expiring ON burials (expires_at);

-- Posts that were done under an Idempotency-Key. Their ids follow from the token and their number.
CREATE TABLE idempotency_keys (
    project    TEXT    NOT NULL,
    name       TEXT    NOT NULL,
    key        TEXT    NOT NULL,
    digest     BLOB    NOT NULL,
    token      TEXT    NOT NULL,
    messages   INTEGER NOT NULL,
    expires_at REAL    NOT NULL,
    PRIMARY KEY (project, name, key)
) WITHOUT ROWID;
CREATE INDEX keys_expiring ON idempotency_keys (expires_at);
