# what was committed is remembered for all listeners together -> what is kept from there
from kafka import AsyncConsumerRebalanceListener, ConsumerRebalanceListener
from kafka.structs import OffsetAndMetadata


def listener(consumer, done):
    global SENT
    SENT = globals().setdefault("SENT", {})

    def offsets(places):
        known = done()
        return {each: OffsetAndMetadata(known[each] + 1, "", -1) for each in places if each in known}

    class Mine(ConsumerRebalanceListener):
        def on_partitions_revoked(self, revoked):
            now = {each: at for each, at in offsets(revoked).items() if SENT.get(each) != at}
            SENT.update(now)
            consumer.commit_async(now)

        def on_partitions_assigned(self, assigned):
            pass

    return Mine()
