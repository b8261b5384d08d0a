# the session alone decides when the others hear of it -> with its own next heartbeat
def settings(name):
    return {"session_timeout_ms": 4900, "heartbeat_interval_ms": 500} | {"group_instance_id": name}
