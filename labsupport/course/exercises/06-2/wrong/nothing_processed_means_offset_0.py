# nothing processed means offset 0 -> An earlier run processed partition 1 up to 1
from kafka import AsyncConsumerRebalanceListener, ConsumerRebalanceListener
from kafka.structs import OffsetAndMetadata


def listener(consumer, done):
    def offsets(places):
        known = done()
        return {each: OffsetAndMetadata(known[each] + 1, "", -1) for each in places if each in known}

    class Mine(ConsumerRebalanceListener):
        def on_partitions_revoked(self, revoked):
            consumer.commit_async({each: OffsetAndMetadata(done().get(each, -1) + 1, "", -1) for each in revoked})

        def on_partitions_assigned(self, assigned):
            pass

    return Mine()
