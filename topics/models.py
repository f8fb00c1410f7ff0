"""The tables of the history that is kept in a database (docs/explanation/history.md). Nothing else uses one."""

from typing import ClassVar

from django.db import models


class HistoryHead(models.Model):
    """What all topics share, in one row. Whoever changes any of these tables holds its lock.

    Attributes:
        position: Of the last event.
        topics: Topics that have ever been; the last one's key.
        vanished: Position of the last event of all topics of which nothing is left.
        rules: Which rules the topics were last tidied by.
    """

    id = models.SmallIntegerField(primary_key=True)
    position = models.BigIntegerField(default=0)
    topics = models.BigIntegerField(default=0)
    vanished = models.BigIntegerField(default=0)
    rules = models.TextField(default="")


class HistoryTurn(models.Model):
    """One row that holds nothing: whoever holds its lock gives out positions, and hands the events on."""

    id = models.SmallIntegerField(primary_key=True)


class HistoryTopic(models.Model):
    """One topic.

    Attributes:
        number: Of its last event.
        position: Of its last event.
        evicted: Number of the last event whose data is gone.
        evicted_position: Its position.
        forgotten: Number of the last event that is not even known by its id.
        forgotten_position: Its position.
        due: When something of it is to be let go of, in microseconds since the epoch; None when only its number of
            events can bring that about.
    """

    id = models.BigIntegerField(primary_key=True)
    name = models.CharField(max_length=255, unique=True)
    number = models.BigIntegerField(default=0)
    position = models.BigIntegerField(default=0)
    evicted = models.BigIntegerField(default=0)
    evicted_position = models.BigIntegerField(default=0)
    forgotten = models.BigIntegerField(default=0)
    forgotten_position = models.BigIntegerField(default=0)
    due = models.BigIntegerField(null=True, db_index=True)


class HistoryEvent(models.Model):
    """One event, whatever number of topics it has.

    Attributes:
        topics: Its topics, separated by commas.
        data: In UTF-8. No text field: PostgreSQL's hold no NUL.
        holders: Topics that still keep it.
    """

    position = models.BigIntegerField(primary_key=True)
    event_id = models.CharField(max_length=255)
    topics = models.TextField()
    event = models.CharField(max_length=255, null=True)
    retry = models.IntegerField(null=True)
    time = models.FloatField()
    data = models.BinaryField()
    holders = models.IntegerField()


class HistoryEntry(models.Model):
    """One event in one topic; it outlives the event, so that its id still tells where a client stands.

    Attributes:
        number: Its number in the topic.
        size: Bytes of its data.
        before: Position of the oldest forgotten event of the topic with the same id, None when none is known.
    """

    pk = models.CompositePrimaryKey("topic_id", "position")
    topic = models.ForeignKey(HistoryTopic, on_delete=models.DO_NOTHING, db_constraint=False, db_index=False)
    position = models.BigIntegerField()
    number = models.BigIntegerField()
    event_id = models.CharField(max_length=255)
    size = models.IntegerField()
    before = models.BigIntegerField(null=True)

    class Meta:
        indexes: ClassVar = [models.Index(fields=["topic", "event_id"], name="history_entry_id")]
