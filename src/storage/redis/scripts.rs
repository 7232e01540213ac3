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

/// `variants` lists number, field and value of a record's variants by age, `everything` those of its aliases too; `settle` gives the record the expiry of
/// what it holds; `sum` writes the marks down in the one field that lookups read.
///
/// How long a fence is kept is counted by the server's clock alone: `window` is a length, never a time of a client.
///
/// The offsets are those of [`Meta`](super::layout::Meta), with which every value begins.
const PRELUDE: &str = r"
local k = KEYS[1]
local function own()
  local kind = redis.call('TYPE', k).ok
  if kind ~= 'hash' and kind ~= 'none' then redis.call('DEL', k) end
end
local function entries(pattern)
  local found = {}
  for _, name in ipairs(redis.call('HKEYS', k)) do
    local n = string.match(name, pattern)
    if n and #n < 16 then found[#found + 1] = {tonumber(n), name, redis.call('HGET', k, name)} end
  end
  table.sort(found, function(x, y) return x[1] < y[1] end)
  return found
end
local function variants() return entries('^v(%d+)$') end
local function everything() return entries('^[av](%d+)$') end
local function meta(value)
  return string.sub(value, 1, 118)
end
local function now()
  local time = redis.call('TIME')
  return time[1] * 1000 + math.floor(time[2] / 1000)
end
local function settle(margin, window)
  local last = -1
  local function holds(value)
    last = math.max(last, tonumber(string.sub(value, 81, 95)) or 0)
  end
  for _, v in ipairs(everything()) do holds(v[3]) end
  if last < 0 then
    last = now() + tonumber(window)
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
local function sum()
  local marks = redis.call('HMGET', k, 'v', 'r', 'a', 'n', 'l', 'i')
  for i = 1, 6 do marks[i] = marks[i] or '-' end
  marks = table.concat(marks, ' ')
  redis.call('HSET', k, 's', marks)
  return marks
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

/// ARGV: fence, token, value, most variants, margin, window.
/// Returns nothing when fenced off, otherwise the metas of what was displaced.
pub(super) static PUBLISH: LazyLock<Script> = LazyLock::new(|| {
    Script::new(
        r"
if not permitted(ARGV[1], ARGV[2]) then return false end
local new = ARGV[3]
local gone, kept = {}, {}
for _, v in ipairs(variants()) do
  local same = string.sub(v[3], 17, 48) == string.sub(new, 17, 48)
  local stale = string.sub(v[3], 1, 16) ~= string.sub(new, 1, 16)
  if same or stale or string.sub(v[3], 49, 80) == string.sub(new, 49, 80) then
    redis.call('HDEL', k, v[2])
    if not same then gone[#gone + 1] = meta(v[3]) end
  else
    kept[#kept + 1] = v
  end
end
for i = 1, #kept - tonumber(ARGV[4]) + 1 do
  redis.call('HDEL', k, kept[i][2])
  gone[#gone + 1] = meta(kept[i][3])
end
local last = kept[#kept]
redis.call('HSET', k, 'v' .. string.format('%.0f', last and last[1] + 1 or 1), new)
settle(ARGV[5], ARGV[6])
return gone
",
    )
});

/// ARGV: fence, token, value, margin, window, field. Returns 1, or nothing when fenced off.
pub(super) static PUT_ALIAS: LazyLock<Script> = LazyLock::new(|| {
    Script::new(
        r"
if not permitted(ARGV[1], ARGV[2]) then return false end
redis.call('HSET', k, ARGV[6], ARGV[3])
settle(ARGV[4], ARGV[5])
return 1
",
    )
});

/// ARGV: id, digest and usable time, bytes, head with its length, margin, window. Returns the meta before, or nothing.
pub(super) static FRESHEN: LazyLock<Script> = LazyLock::new(|| {
    Script::new(
        r"
own()
for _, v in ipairs(variants()) do
  local old = v[3]
  if string.sub(old, 17, 48) == ARGV[1] then
    local body = string.sub(old, 127 + (tonumber(string.sub(old, 119, 126)) or #old))
    local new = string.sub(old, 1, 48) .. ARGV[2] .. string.sub(old, 96, 103) .. ARGV[3]
    redis.call('HSET', k, v[2], new .. ARGV[4] .. body)
    settle(ARGV[5], ARGV[6])
    return meta(old)
  end
end
return false
",
    )
});

/// ARGV: a random number for the new fence, window. Returns the metas of what was there.
pub(super) static REMOVE: LazyLock<Script> = LazyLock::new(|| {
    Script::new(
        r"
own()
local gone = {}
for _, v in ipairs(everything()) do gone[#gone + 1] = meta(v[3]) end
redis.call('DEL', k)
redis.call('HSET', k, 'f', string.format('%.0f-', now() + tonumber(ARGV[2])) .. ARGV[1])
redis.call('PEXPIRE', k, ARGV[2])
return gone
",
    )
});

/// ARGV: id, margin, window. Returns the meta of what was removed, or nothing.
pub(super) static REMOVE_ENTRY: LazyLock<Script> = LazyLock::new(|| {
    Script::new(
        r"
own()
local gone = false
for _, v in ipairs(everything()) do
  if string.sub(v[3], 17, 48) == ARGV[1] then
    gone = meta(v[3])
    redis.call('HDEL', k, v[2])
  end
end
if gone then settle(ARGV[2], ARGV[3]) end
return gone
",
    )
});

/// ARGV: generation of responses, of aliases, now, margin, window. Removes what is of another generation or past its
/// usable time; returns its metas.
pub(super) static SWEEP: LazyLock<Script> = LazyLock::new(|| {
    Script::new(
        r"
own()
local gone = {}
local function over(value, generation)
  return string.sub(value, 1, 16) ~= generation
    or (tonumber(string.sub(value, 81, 95)) or 0) <= tonumber(ARGV[3])
end
for _, v in ipairs(everything()) do
  if over(v[3], string.sub(v[2], 1, 1) == 'v' and ARGV[1] or ARGV[2]) then
    redis.call('HDEL', k, v[2])
    gone[#gone + 1] = meta(v[3])
  end
end
if #gone > 0 then settle(ARGV[4], ARGV[5]) end
return gone
",
    )
});

/// ARGV: 1 to have heads, 0 for metas only. Returns fields and values in turns, without small bodies.
pub(super) static HEADS: LazyLock<Script> = LazyLock::new(|| {
    Script::new(
        r"
local found = {}
if redis.call('TYPE', k).ok ~= 'hash' then return found end
for _, v in ipairs(everything()) do
  local last = 118
  if ARGV[1] == '1' then
    last = string.sub(v[2], 1, 1) == 'v' and 126 + (tonumber(string.sub(v[3], 119, 126)) or 0) or -1
  end
  found[#found + 1] = v[2]
  found[#found + 1] = string.sub(v[3], 1, last)
end
return found
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
  local time = redis.call('TIME')
  redis.call('HSETNX', k, 'n', string.format('%.0f', time[1] * 1000000 + time[2]))
  return sum()
end
return redis.call('HGET', k, 'v')
",
    )
});

/// On the marks. ARGV: field and new generation, once or twice.
pub(super) static CLEAR: LazyLock<Script> = LazyLock::new(|| {
    Script::new(
        r"
redis.call('HSET', k, unpack(ARGV))
return sum()
",
    )
});

/// On the marks and the groups. ARGV: a new mark, fields of the groups.
///
/// Marks and groups carry the same mark `i`: where the groups were evicted, everything stored as of a count before `l`
/// is invalidated.
pub(super) static INVALIDATE: LazyLock<Script> = LazyLock::new(|| {
    Script::new(
        r"
local groups = KEYS[2]
local mark, before = redis.call('HGET', k, 'i'), redis.call('HGET', k, 'n')
local number = string.format('%.0f', redis.call('HINCRBY', k, 'n', 1))
if not mark or redis.call('HGET', groups, 'i') ~= mark then
  if mark then redis.call('HSET', k, 'l', before) end
  redis.call('DEL', groups)
  redis.call('HSET', groups, 'i', ARGV[1])
  redis.call('HSET', k, 'i', ARGV[1])
end
for i = 2, #ARGV do redis.call('HSET', groups, ARGV[i], number) end
return sum()
",
    )
});
