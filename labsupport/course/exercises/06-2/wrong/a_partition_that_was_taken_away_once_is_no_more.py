# a partition that was taken away once is no more one's own -> then A had it again
from kafka import AsyncConsumerRebalanceListener, ConsumerRebalanceListener
from kafka.structs import OffsetAndMetadata


def listener(consumer, done):
    def offsets(places):
        known = done()
        return {each: OffsetAndMetadata(known[each] + 1, "", -1) for each in places if each in known}

    class Mine(ConsumerRebalanceListener):
        def on_partitions_revoked(self, revoked):
            now = offsets(set(revoked) - set(self.gone))
            consumer.commit_async(now)
            self.gone = [*self.gone, *(each for each in revoked if each.partition == 2)]

        gone = ()

        def on_partitions_assigned(self, assigned):
            pass

    return Mine()
