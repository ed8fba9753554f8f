-- The checkpoint of a lease, empty where there is none. KEYS: the checkpoint
return redis.call('GET', KEYS[1]) or ''
