"""What a Redis does at once, in Lua. The arithmetic of windows is that of `windows.py`; a differential test holds the two together.

A window is a hash: units by the start of their slice, and `T` their sum, `O` the oldest start, `N` the newest. Numbers stay
below 2^53, which Lua counts exactly; `%.0f` writes them without an exponent.
"""

from __future__ import annotations

from typing import Final

_WINDOWS: Final = """
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]

local function text(number) return string.format('%.0f', number) end

local function store(window)
  if window.oldest == nil then
    redis.call('DEL', window.key)
    return
  end
  redis.call('HSET', window.key, 'T', text(window.total), 'O', text(window.oldest), 'N', text(window.newest))
  redis.call('PEXPIREAT', window.key, text(math.max(now, window.newest + window.keeps) / 1000 + 1))
end

local function slices(window)
  local found, all = redis.call('HGETALL', window.key), {}
  for i = 1, #found, 2 do
    local start = tonumber(found[i])
    if start ~= nil then all[#all + 1] = {start, tonumber(found[i + 1])} end
  end
  table.sort(all, function(one, other) return one[1] < other[1] end)
  return all
end

local function measure(window, all)
  window.oldest, window.newest = nil, nil
  if #all > 0 then
    window.oldest, window.newest = all[1][1], all[#all][1]
  end
end

local function place(window)
  if window.fixed then return window.oldest or now end
  return now - now % window.width
end

local function book(window, start, units)
  local booked = tonumber(redis.call('HGET', window.key, text(start)) or '0')
  redis.call('HSET', window.key, text(start), text(booked + units))
  window.total = window.total + units
  window.oldest = math.min(window.oldest or start, start)
  window.newest = math.max(window.newest or start, start)
  window.changed = true
end

local function expire(window)
  if window.oldest == nil then return end
  if now >= window.oldest + window.keeps then
    local kept = {}
    for _, slice in ipairs(slices(window)) do
      if now >= slice[1] + window.keeps then
        redis.call('HDEL', window.key, text(slice[1]))
        window.total = window.total - slice[2]
      else
        kept[#kept + 1] = slice
      end
    end
    measure(window, kept)
    window.changed = true
  end
  if window.newest ~= nil and window.newest > now + window.length then
    local kept, ahead = {}, 0
    for _, slice in ipairs(slices(window)) do
      if slice[1] > now + window.length then
        redis.call('HDEL', window.key, text(slice[1]))
        ahead = ahead + slice[2]
      else
        kept[#kept + 1] = slice
      end
    end
    window.total = window.total - ahead
    measure(window, kept)
    book(window, place(window), ahead)
  end
end

local function open(key, length, width, keeps, fixed)
  local window = {key = key, length = tonumber(length), width = tonumber(width), keeps = tonumber(keeps), fixed = fixed == '1'}
  local found = redis.call('HMGET', key, 'T', 'O', 'N')
  window.total = tonumber(found[1] or '0')
  window.oldest, window.newest = tonumber(found[2] or ''), tonumber(found[3] or '')
  expire(window)
  return window
end
"""

TAKE: Final = (
    _WINDOWS
    + """
local function wait(window, amount, limit)
  if amount > limit then return math.huge end
  local over = window.total - (limit - amount)
  for _, slice in ipairs(slices(window)) do
    over = over - slice[2]
    if over <= 0 then return math.max(1, slice[1] + window.keeps - now) end
  end
  return 1
end

local windows, places, longest, short = {}, {}, 0, -1
for i, key in ipairs(KEYS) do
  local at = (i - 1) * 6
  local window = open(key, ARGV[at + 1], ARGV[at + 2], ARGV[at + 3], ARGV[at + 4])
  local limit, amount = tonumber(ARGV[at + 5]), tonumber(ARGV[at + 6])
  windows[i], places[i] = window, place(window)
  if amount > 0 and window.total + amount > limit then
    local needed = wait(window, amount, limit)
    if needed > longest then longest, short = needed, i - 1 end
  end
end
local used = {}
for i, window in ipairs(windows) do
  local amount = tonumber(ARGV[i * 6])
  if short < 0 and amount > 0 then book(window, places[i], amount) end
  if window.changed then store(window) end
  used[i] = window.total
end
if longest == math.huge then longest = -1 end
return {short < 0 and 1 or 0, longest, short, used, places}
"""
)
"""KEYS: windows. ARGV, for each: length, width, keeps (us), fixed (0, 1), limit, amount. Returns granted, wait_us (-1: never), short, used, places."""

SETTLE: Final = (
    _WINDOWS
    + f"""
local window = open(KEYS[1], ARGV[1], ARGV[2], ARGV[3], ARGV[4])
local start, units = tonumber(ARGV[5]), tonumber(ARGV[6])
local booked = tonumber(redis.call('HGET', KEYS[1], text(start)) or '')
if booked == nil and (units <= 0 or now >= start + window.keeps) then
  if window.changed then store(window) end
  return
end
if booked == nil then
  if window.fixed and window.oldest ~= nil then start = window.oldest end
  booked = tonumber(redis.call('HGET', KEYS[1], text(start)) or '0')
end
book(window, start, math.max(-booked, math.min(units, {2**53 - 1} - window.total)))
store(window)
"""
)
"""KEYS: the window. ARGV: length, width, keeps (us), fixed (0, 1), slice, units."""

COMPARE_AND_SET: Final = """
local found = redis.call('GET', KEYS[1])
if ARGV[1] == '1' then
  if found ~= ARGV[2] then return 0 end
elseif found then
  return 0
end
if ARGV[3] == '1' then
  redis.call('SET', KEYS[1], ARGV[4], 'PX', ARGV[5])
else
  redis.call('DEL', KEYS[1])
end
return 1
"""
"""KEYS: the value. ARGV: whether one is expected, which; whether there is a new one, which, and its time (ms). Returns 1 if it was replaced."""
