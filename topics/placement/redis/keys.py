"""Names of the keys and channels in Redis. All share one hash tag, and so one slot of a Redis Cluster."""


class Keys:
    """Every name, for one database.

    One slot for all, not one a topic: an event of several topics takes its place in all of them in one step, or
    nodes would see different orders.

    Args:
        database: Number of the database; pub/sub does not tell them apart, so the names do.
    """

    def __init__(self, database: int) -> None:
        self.prefix = f"{{sse-gateway/{database}}}:"
        self.epoch = f"{self.prefix}epoch"
        self.settled = f"{self.prefix}settled"
        self.leases = f"{self.prefix}leases"
        self.info = f"{self.prefix}info"
        self.graves = f"{self.prefix}graves"
        self.watch = f"{self.prefix}watch"
        self.topics = f"{self.prefix}topics"
        self.position = f"{self.prefix}position"
        self.lost = f"{self.prefix}lost"
        self.kept = f"{self.prefix}kept"
        self.expiring = f"{self.prefix}expiring"
        self.vanished = f"{self.prefix}vanished"
        # The name that channels_redis.pubsub gives to a group (RedisPubSubLoopLayer): prefix, this word, group.
        self.channel_prefix = f"{self.prefix}__group__"

    def topic(self, name: str) -> str:
        """Return the table of a topic: session to connections, and where its stream stands."""
        return f"{self.prefix}topic:{name}"

    def order(self, session: str) -> str:
        """Return a session's connections in the order of their coming."""
        return f"{self.prefix}order:{session}"

    def records(self, session: str) -> str:
        """Return a session's connection records."""
        return f"{self.prefix}records:{session}"

    def closed(self, session: str) -> str:
        """Return the sign that a session takes no more connections, which stays for a while."""
        return f"{self.prefix}closed:{session}"

    def held(self, session: str) -> str:
        """Return the names of the topics that a session holds."""
        return f"{self.prefix}held:{session}"

    def members(self, session: str, topic: str) -> str:
        """Return a session's connections of one topic in the order of their coming."""
        return f"{self.prefix}members:{session}:{topic}"

    def channel(self, topic: str) -> str:
        """Return the pub/sub channel of a topic's group."""
        return self.channel_prefix + topic

    def stream(self, topic: str) -> str:
        """Return the events of a topic that are kept."""
        return f"{self.prefix}stream:{topic}"

    def index(self, topic: str) -> str:
        """Return the positions, numbers and ids of a topic's events, those of evicted ones too."""
        return f"{self.prefix}index:{topic}"

    def ids(self, topic: str) -> str:
        """Return where the ids of a topic's index stand."""
        return f"{self.prefix}ids:{topic}"

    def answer(self, topic: str, event_id: str) -> str:
        """Return what a publish was answered, for those that try again; neither name holds a comma."""
        return f"{self.prefix}answer:{topic},{event_id}"
