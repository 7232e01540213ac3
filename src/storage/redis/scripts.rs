//! The few things that must happen at once on the server.
//!
//! Every script touches keys of one slot only, is small, and may run twice without harm: after a broken connection
//! it is not known whether it ran.

use std::sync::LazyLock;

/// A script and the hash by which the server knows it.
#[derive(Debug)]
pub(super) struct Script {
    pub(super) code: String,
    pub(super) hash: String,
}

impl Script {
    fn new(code: &str) -> Self {
        let code = format!("{PRELUDE}{code}");
        let hash = redis::Script::new(&code).get_hash().to_owned();
        Self { code, hash }
    }
}

/// `variants` lists a record's variants by age; `settle` gives the record the expiry of what it holds.
///
/// The offsets are those of [`Meta`](super::record::Meta).
const PRELUDE: &str = r"
local k = KEYS[1]
local function own()
  local kind = redis.call('TYPE', k).ok
  if kind ~= 'hash' and kind ~= 'none' then redis.call('DEL', k) end
end
local function variants()
  local found = {}
  for _, name in ipairs(redis.call('HKEYS', k)) do
    local n = string.match(name, '^m(%d+)$')
    if n then found[#found + 1] = {tonumber(n), n, redis.call('HGET', k, name)} end
  end
  table.sort(found, function(x, y) return x[1] < y[1] end)
  return found
end
local function drop(n)
  redis.call('HDEL', k, 'm' .. n, 'h' .. n, 'b' .. n)
end
local function settle(margin, floor)
  local last = -1
  local function holds(meta)
    last = math.max(last, tonumber(string.sub(meta, 81, 95)) or 0)
  end
  for _, v in ipairs(variants()) do holds(v[3]) end
  local alias = redis.call('HGET', k, 'am')
  if alias then holds(alias) end
  if last < 0 then
    last = tonumber(floor)
  elseif tonumber(margin) < 0 or last >= 999999999999999 then
    redis.call('PERSIST', k)
    return
  else
    last = last + tonumber(margin)
  end
  local fence = redis.call('HGET', k, 'f')
  last = math.max(last, fence and tonumber(string.match(fence, '^(%d+)-')) or 0)
  redis.call('PEXPIREAT', k, string.format('%.0f', last))
end
local function permitted(fence, token)
  own()
  local have = redis.call('HMGET', k, 'f', 't')
  return (have[1] or '') == fence and (have[2] or '') == token
end
";

/// ARGV: token, window. Returns the record's fence and the token of its present life.
pub(super) static ARM: LazyLock<Script> = LazyLock::new(|| {
    Script::new(
        r"
own()
redis.call('HSETNX', k, 't', ARGV[1])
local left = redis.call('PTTL', k)
if left < tonumber(ARGV[2]) and (left >= 0 or #redis.call('HKEYS', k) == 1) then
  redis.call('PEXPIRE', k, ARGV[2])
end
return redis.call('HMGET', k, 'f', 't')
",
    )
});

/// ARGV: fence, token, meta, head, inline or not, body, most variants, margin, floor.
/// Returns nothing when fenced off, otherwise the metas of what was displaced.
pub(super) static PUBLISH: LazyLock<Script> = LazyLock::new(|| {
    Script::new(
        r"
if not permitted(ARGV[1], ARGV[2]) then return false end
local meta = ARGV[3]
local gone, kept = {}, {}
for _, v in ipairs(variants()) do
  local same = string.sub(v[3], 17, 48) == string.sub(meta, 17, 48)
  local stale = string.sub(v[3], 1, 16) ~= string.sub(meta, 1, 16)
  if same or stale or string.sub(v[3], 49, 80) == string.sub(meta, 49, 80) then
    drop(v[2])
    if not same then gone[#gone + 1] = v[3] end
  else
    kept[#kept + 1] = v
  end
end
for i = 1, #kept - tonumber(ARGV[7]) + 1 do
  drop(kept[i][2])
  gone[#gone + 1] = kept[i][3]
end
local n = string.format('%.0f', redis.call('HINCRBY', k, 'n', 1))
redis.call('HSET', k, 'm' .. n, meta, 'h' .. n, ARGV[4])
if ARGV[5] == '1' then redis.call('HSET', k, 'b' .. n, ARGV[6]) end
settle(ARGV[8], ARGV[9])
return gone
",
    )
});

/// ARGV: fence, token, meta, value, margin, floor. Returns 1, or nothing when fenced off.
pub(super) static PUT_ALIAS: LazyLock<Script> = LazyLock::new(|| {
    Script::new(
        r"
if not permitted(ARGV[1], ARGV[2]) then return false end
redis.call('HSET', k, 'am', ARGV[3], 'ah', ARGV[4])
settle(ARGV[5], ARGV[6])
return 1
",
    )
});

/// ARGV: id, digest and usable time, bytes, head, margin, floor. Returns the meta before, or nothing.
pub(super) static FRESHEN: LazyLock<Script> = LazyLock::new(|| {
    Script::new(
        r"
own()
for _, v in ipairs(variants()) do
  local old = v[3]
  if string.sub(old, 17, 48) == ARGV[1] then
    local meta = string.sub(old, 1, 48) .. ARGV[2] .. string.sub(old, 96, 103) .. ARGV[3]
    redis.call('HSET', k, 'm' .. v[2], meta, 'h' .. v[2], ARGV[4])
    settle(ARGV[5], ARGV[6])
    return old
  end
end
return false
",
    )
});

/// ARGV: the new fence, window. Returns the metas of what was there.
pub(super) static REMOVE: LazyLock<Script> = LazyLock::new(|| {
    Script::new(
        r"
own()
local gone = {}
for _, v in ipairs(variants()) do gone[#gone + 1] = v[3] end
gone[#gone + 1] = redis.call('HGET', k, 'am') or nil
redis.call('DEL', k)
redis.call('HSET', k, 'f', ARGV[1])
redis.call('PEXPIRE', k, ARGV[2])
return gone
",
    )
});

/// ARGV: id, margin, floor. Returns the meta of what was removed, or nothing.
pub(super) static REMOVE_ENTRY: LazyLock<Script> = LazyLock::new(|| {
    Script::new(
        r"
own()
local gone = false
for _, v in ipairs(variants()) do
  if string.sub(v[3], 17, 48) == ARGV[1] then
    gone = v[3]
    drop(v[2])
  end
end
local alias = redis.call('HGET', k, 'am')
if alias and string.sub(alias, 17, 48) == ARGV[1] then
  gone = alias
  redis.call('HDEL', k, 'am', 'ah')
end
if gone then settle(ARGV[2], ARGV[3]) end
return gone
",
    )
});

/// ARGV: generation of responses, of aliases, now, margin, floor. Removes what is of another generation or past its
/// usable time; returns its metas.
pub(super) static SWEEP: LazyLock<Script> = LazyLock::new(|| {
    Script::new(
        r"
own()
local gone = {}
local function over(meta, generation)
  return string.sub(meta, 1, 16) ~= generation
    or (tonumber(string.sub(meta, 81, 95)) or 0) <= tonumber(ARGV[3])
end
for _, v in ipairs(variants()) do
  if over(v[3], ARGV[1]) then
    drop(v[2])
    gone[#gone + 1] = v[3]
  end
end
local alias = redis.call('HGET', k, 'am')
if alias and over(alias, ARGV[2]) then
  redis.call('HDEL', k, 'am', 'ah')
  gone[#gone + 1] = alias
end
if #gone > 0 then settle(ARGV[4], ARGV[5]) end
return gone
",
    )
});

/// On the marks. ARGV: generation of responses, of aliases, version of the format. Returns the marks.
pub(super) static ESTABLISH: LazyLock<Script> = LazyLock::new(|| {
    Script::new(
        r"
if redis.call('EXISTS', k) == 1 and redis.call('HEXISTS', k, 'v') == 0 then
  return redis.error_reply('FOREIGN the key ' .. k .. ' is not of this cache')
end
redis.call('HSETNX', k, 'v', ARGV[3])
if redis.call('HGET', k, 'v') == ARGV[3] then
  redis.call('HSETNX', k, 'r', ARGV[1])
  redis.call('HSETNX', k, 'a', ARGV[2])
end
return redis.call('HMGET', k, 'v', 'r', 'a', 'g', 'i', 'l')
",
    )
});

/// On the marks and the groups. ARGV: field of the group, time, a new mark.
///
/// Marks and groups carry the same mark `i`: where the groups were evicted, all groups count as invalidated at `l`.
pub(super) static INVALIDATE: LazyLock<Script> = LazyLock::new(|| {
    Script::new(
        r"
local groups = KEYS[2]
local have = redis.call('HMGET', k, 'i', 'g')
local mark, at = have[1], tonumber(ARGV[2])
local latest = tonumber(have[2] or '') or -1
if not mark or redis.call('HGET', groups, 'i') ~= mark then
  if mark then redis.call('HSET', k, 'l', string.format('%.0f', latest)) end
  redis.call('DEL', groups)
  redis.call('HSET', groups, 'i', ARGV[3])
  redis.call('HSET', k, 'i', ARGV[3])
end
local before = tonumber(redis.call('HGET', groups, ARGV[1]) or '') or -1
redis.call('HSET', groups, ARGV[1], string.format('%.0f', math.max(before, at)))
redis.call('HSET', k, 'g', string.format('%.0f', math.max(latest, at)))
return 1
",
    )
});
