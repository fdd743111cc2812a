"""From a post-training recipe to the data mixture that protects the model's other abilities.

One flow, one direction: a **recipe** names a model with its SAE, a target and downstream **domains**;
the untrained model's SAE **features**, read with and without demonstrations, give the **drift** dimensions
the job is expected to move; **sts** scores each domain by how it uses them; a **forecast** turns scores into
expected change; **allocate** spends a budget of rows on the domains; **mixture** writes the mixed data set.
"""

__version__ = "0.1.0"
