-- Times are milliseconds since 1970; the columns beside them show them as text.
-- Whatever deletes a row, this cache or a person with a shell, the triggers keep the counters and the chunks right.

CREATE TABLE state (
    id INTEGER PRIMARY KEY CHECK (id = 1),
    -- Number of the last removal, and up to which one the fills under way are refused whatever their key.
    fence INTEGER NOT NULL,
    responses_floor INTEGER NOT NULL,
    redirects_floor INTEGER NOT NULL,
    -- What is stored.
    responses INTEGER NOT NULL DEFAULT 0,
    response_bytes INTEGER NOT NULL DEFAULT 0,
    redirects INTEGER NOT NULL DEFAULT 0,
    redirect_bytes INTEGER NOT NULL DEFAULT 0,
    -- How many invalidations there were.
    invalidations INTEGER NOT NULL DEFAULT 0,
    -- Where the next eviction looks first.
    responses_hand INTEGER NOT NULL DEFAULT 0,
    redirects_hand INTEGER NOT NULL DEFAULT 0
);

CREATE TABLE responses (
    entry INTEGER PRIMARY KEY,
    hash INTEGER NOT NULL,
    id BLOB NOT NULL,
    url TEXT NOT NULL,
    method TEXT NOT NULL,
    status INTEGER NOT NULL,
    request_time INTEGER NOT NULL,
    response_time INTEGER NOT NULL,
    usable_until INTEGER NOT NULL,
    requested TEXT AS (strftime('%Y-%m-%dT%H:%M:%SZ', request_time / 1000, 'unixepoch')),
    received TEXT AS (strftime('%Y-%m-%dT%H:%M:%SZ', response_time / 1000, 'unixepoch')),
    usable TEXT AS (strftime('%Y-%m-%dT%H:%M:%SZ', usable_until / 1000, 'unixepoch')),
    body_length INTEGER NOT NULL,
    size INTEGER NOT NULL,
    -- The body is in chunks of this number, or else in this row.
    chunked INTEGER,
    head BLOB NOT NULL,
    body BLOB
);
CREATE INDEX responses_by_key ON responses (hash);

CREATE TABLE redirects (
    entry INTEGER PRIMARY KEY,
    hash INTEGER NOT NULL,
    id BLOB NOT NULL,
    url TEXT NOT NULL,
    target TEXT NOT NULL,
    method TEXT NOT NULL,
    status INTEGER NOT NULL,
    request_time INTEGER NOT NULL,
    response_time INTEGER NOT NULL,
    usable_until INTEGER NOT NULL,
    requested TEXT AS (strftime('%Y-%m-%dT%H:%M:%SZ', request_time / 1000, 'unixepoch')),
    received TEXT AS (strftime('%Y-%m-%dT%H:%M:%SZ', response_time / 1000, 'unixepoch')),
    usable TEXT AS (strftime('%Y-%m-%dT%H:%M:%SZ', usable_until / 1000, 'unixepoch')),
    size INTEGER NOT NULL,
    target_key BLOB NOT NULL,
    head BLOB NOT NULL,
    body BLOB
);
CREATE INDEX redirects_by_key ON redirects (hash);

-- Immutable chunks of bodies; the number of a body is the low half of its entry's id.
CREATE TABLE chunks (
    chunk INTEGER PRIMARY KEY,
    body INTEGER NOT NULL,
    seq INTEGER NOT NULL,
    checksum INTEGER NOT NULL,
    data BLOB NOT NULL
);
CREATE UNIQUE INDEX chunks_by_body ON chunks (body, seq);

-- Bodies that are being written, by whom, and when last a chunk came.
CREATE TABLE pending (
    body INTEGER PRIMARY KEY,
    owner INTEGER NOT NULL,
    process TEXT NOT NULL,
    touched INTEGER NOT NULL
);

-- Bodies whose chunks are to be deleted.
CREATE TABLE condemned (body INTEGER PRIMARY KEY);

-- Number of the last removal of the keys with this hash.
CREATE TABLE fences (hash INTEGER PRIMARY KEY, fence INTEGER NOT NULL);

-- Entries used since the eviction last came by; a redirect has the negative number.
CREATE TABLE used (entry INTEGER PRIMARY KEY);

-- Number of the last invalidation of the groups that fall into this slot (RFC 9111 section 4.4, RFC 9875).
CREATE TABLE invalidated (slot INTEGER PRIMARY KEY, number INTEGER NOT NULL);

CREATE TRIGGER response_stored AFTER INSERT ON responses BEGIN
    UPDATE state SET responses = responses + 1, response_bytes = response_bytes + new.size;
END;
CREATE TRIGGER response_freshened AFTER UPDATE OF size ON responses BEGIN
    UPDATE state SET response_bytes = response_bytes + new.size - old.size;
END;
CREATE TRIGGER response_deleted AFTER DELETE ON responses BEGIN
    UPDATE state SET responses = responses - 1, response_bytes = response_bytes - old.size;
    DELETE FROM used WHERE entry = old.entry;
    INSERT OR IGNORE INTO condemned SELECT old.chunked WHERE old.chunked IS NOT NULL;
END;
CREATE TRIGGER redirect_stored AFTER INSERT ON redirects BEGIN
    UPDATE state SET redirects = redirects + 1, redirect_bytes = redirect_bytes + new.size;
END;
CREATE TRIGGER redirect_deleted AFTER DELETE ON redirects BEGIN
    UPDATE state SET redirects = redirects - 1, redirect_bytes = redirect_bytes - old.size;
    DELETE FROM used WHERE entry = -old.entry;
END;
