# max_poll_interval_ms decides when a dead member is noticed -> the client's default
def settings(name):
    return {"max_poll_interval_ms": 4000} | {"group_instance_id": name}
