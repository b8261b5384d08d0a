# exactly once cannot be had -> exactly once, wherever it crashes
def exactly_once(service):
    return []
