-- Failures counted for all replicas: the same rules as in memory.rs. One call is one transaction, and the time is the
-- server's, so that the replicas' clocks do not matter. Times are in milliseconds.
--
-- KEYS: the pair of user and network, its looks under way, the user
-- ARGV: what happened, attempts, window, duration, the look, the longest time that a look is held for under way
-- Returns for `admit` {0, failures of the user}, or {1, time of the lock-out left}; else {0, 0}.
local pair, looks, user = KEYS[1], KEYS[2], KEYS[3]
local what, look = ARGV[1], ARGV[5]
local attempts, window, duration, lease =
  tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4]), tonumber(ARGV[6])
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)

-- A clock that was set back makes nothing last longer.
local function read(key)
  local kept = redis.call('HMGET', key, 'failures', 'since', 'locked')
  local failures, since = tonumber(kept[1]) or 0, math.min(tonumber(kept[2]) or now, now)
  local locked = tonumber(kept[3])
  if locked then
    if locked <= now then
      return 0, now, nil
    end
    return failures, since, math.min(locked, now + duration)
  end
  if failures == 0 or now - since >= window then
    return 0, now, nil
  end
  return failures, since, nil
end

-- What has passed goes by itself.
local function write(key, failures, since, locked)
  redis.call('DEL', key)
  if locked then
    redis.call('HSET', key, 'failures', failures, 'since', since, 'locked', locked)
    redis.call('PEXPIRE', key, locked - now)
  elseif failures > 0 then
    redis.call('HSET', key, 'failures', failures, 'since', since)
    redis.call('PEXPIRE', key, since + window - now)
  end
end

if what == 'admit' then
  local failures, _, locked = read(pair)
  if locked then
    return {1, locked - now}
  end
  -- A replica that has died does not report its looks.
  redis.call('ZREMRANGEBYSCORE', looks, '-inf', now)
  if failures + redis.call('ZCARD', looks) >= attempts then
    return {1, 1000}
  end
  redis.call('ZADD', looks, now + lease, look)
  redis.call('PEXPIRE', looks, lease)
  return {0, (read(user))}
end

redis.call('ZREM', looks, look)
if what == 'failed' then
  local failures, since, locked = read(pair)
  if failures + 1 >= attempts then
    locked = now + duration
  end
  write(pair, failures + 1, since, locked)
  local all, first = read(user)
  write(user, all + 1, first, nil)
elseif what == 'succeeded' then
  local forgiven = tonumber(redis.call('HGET', pair, 'failures')) or 0
  redis.call('DEL', pair)
  local all, first = read(user)
  write(user, math.max(all - forgiven, 0), first, nil)
end
return {0, 0}
