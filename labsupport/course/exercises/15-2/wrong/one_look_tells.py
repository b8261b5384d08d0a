# one look tells -> what ends the wait
def wait_for(sent, group, committed, limit):
    return committed(group).get((sent.topic, sent.partition), 0) > sent.offset
