from kafka import ConsumerRebalanceListener
from kafka.structs import OffsetAndMetadata


def listener(consumer, done):
    """Commits what was processed of the partitions that are revoked."""

    class CommitsFirst(ConsumerRebalanceListener):
        before = {}  # done(), when the partitions were assigned

        def on_partitions_revoked(self, revoked):
            offsets = {}
            for place, last in done().items():
                if place in revoked and last != self.before.get(place):
                    offsets[place] = OffsetAndMetadata(last + 1, "", -1)
            consumer.commit_async(offsets)

        def on_partitions_assigned(self, assigned):
            self.before = dict(done())

    return CommitsFirst()
