"""What a list of runs tells of each: a few figures and a small curve, made from its events when an epoch is done."""

from __future__ import annotations

from collections.abc import Sequence

OF_STARTED = ("epochs", "steps", "params", "trainable", "weights", "n_train", "n_valid")
POINTS = 32  # of the small curve
FALLING = ("style", "content")
"""Metrics that fall as a run gets better."""


def summarise(started: dict | None, epochs: Sequence[dict], smooth: Sequence[float]) -> dict:
    """JSON values from events as `events.to_dict` gives them.

    epochs, done   epochs asked for, and whole ones
    steps          batches in all
    params, trainable, weights, n_train, n_valid, classes   of `Started`; classes as a number
    curve          at most POINTS smoothed training losses, evenly spread
    train_loss, valid_loss   of the last epoch
    metrics, best  {name: value} of the last epoch, and the best of each, valid loss among them
    seconds        that the epochs took
    """
    told: dict = {"done": len(epochs), "curve": thin(smooth)}
    if started:
        told |= {name: started[name] for name in OF_STARTED}
        told["classes"] = len(started["classes"])
    if epochs:
        last = epochs[-1]
        told |= {
            "train_loss": last["train_loss"],
            "valid_loss": last["valid_loss"],
            "metrics": dict(last["metrics"]),
            "best": best_of(epochs),
            "seconds": round(sum(epoch["seconds"] for epoch in epochs), 3),
        }
    return told


def best_of(epochs: Sequence[dict]) -> dict[str, float]:
    """The best value of the valid loss and of each metric, whatever the epoch."""
    best = {"valid_loss": min(epoch["valid_loss"] for epoch in epochs)}
    for name, _ in epochs[-1]["metrics"]:
        values = [value for epoch in epochs for other, value in epoch["metrics"] if other == name]
        best[name] = min(values) if name in FALLING else max(values)
    return best


def thin(values: Sequence[float], most: int = POINTS) -> list[float]:
    """At most so many of the values, evenly spread, the last among them; four figures of each."""
    if len(values) > most:
        values = [values[round(i * (len(values) - 1) / (most - 1))] for i in range(most)]
    return [float(f"{value:.4g}") for value in values]
