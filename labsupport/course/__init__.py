"""What a notebook needs: lessons, predictions, exercises and verdicts.

Read in this order: `session` (opens a lesson), `lab` (the cluster as a lesson sees it), `check`, `judging` and
`separate_process` (from an answer to a verdict), `submission` and `sandbox` (run the learner's code), `verdict`; then
a folder in `exercises/`. Experiments and services do not belong here, nor do commands.
"""
