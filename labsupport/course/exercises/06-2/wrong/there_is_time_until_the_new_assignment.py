# there is time until the new assignment -> before others get the partitions
from kafka import AsyncConsumerRebalanceListener, ConsumerRebalanceListener
from kafka.structs import OffsetAndMetadata


def listener(consumer, done):
    def offsets(places):
        known = done()
        return {each: OffsetAndMetadata(known[each] + 1, "", -1) for each in places if each in known}

    class Mine(ConsumerRebalanceListener):
        def on_partitions_revoked(self, revoked):
            self.mine = revoked

        def on_partitions_assigned(self, assigned):
            consumer.commit_async(offsets(getattr(self, "mine", ())))

    return Mine()
