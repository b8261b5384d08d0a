from labsupport import story

key_of = story.key_of
