# a third of the session is heartbeat enough -> two settings add up
def settings(name):
    return {"session_timeout_ms": 5000, "heartbeat_interval_ms": 1500} | {"group_instance_id": name}
