"""The story of all lessons: one shop, its events and their envelope.

Read event → story. Nothing here knows Kafka; publishing and processing events belong to delivery.
"""
