# one key for all keeps everything in order -> in one partition
def key_of(event):
    return b"shop"
