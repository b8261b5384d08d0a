# a long enough session is all that a restart needs -> A had to give up its partition
def settings(name):
    return {"session_timeout_ms": 3_500, "heartbeat_interval_ms": 500}
