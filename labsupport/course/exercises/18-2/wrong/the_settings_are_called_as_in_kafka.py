# the settings are called as in Kafka -> not the four settings
def settings(brokers, keep, write):
    if keep + 1 + write > brokers:
        return None
    return {"replication.factor": keep + 1 + write, "min.insync.replicas": keep + 1, "acks": "all"}
