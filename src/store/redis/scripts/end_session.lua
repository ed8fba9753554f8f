-- Deletes a session and tells the other replicas. KEYS: the session. ARGV: channel, message
redis.call('DEL', KEYS[1])
redis.call('PUBLISH', ARGV[1], ARGV[2])
return 1
