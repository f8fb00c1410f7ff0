-- Tell the tails of a dropped publish's topics.
-- KEYS: none, as nothing is kept
-- ARGV: message, then for each topic: channel
for topic = 2, #ARGV do
  redis.call('PUBLISH', ARGV[topic], ARGV[1])
end
return 1
