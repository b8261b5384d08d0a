"""Lesson 19: a service that learners build alone, on real flights, and what tortures and judges it.

`contract` is what they agree on. `flights` is the data, `telling` makes events of it, and `truth` what a service must
answer. The service is a program of the learner's; nothing here is imported by it.
"""
