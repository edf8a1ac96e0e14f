"""Numbers and shapes in the words of people, the same as assets/kit.js writes them; and the row of big numbers."""

from __future__ import annotations

from explorer.trace.records import Shape, Trace


def short(n: float) -> str:
    """21830976 -> "21.8 M": what is read at a glance, for counts of parameters and MACs."""
    scale, unit = (1e9, " G") if n >= 1e9 else (1e6, " M") if n >= 1e6 else (1e3, " k") if n >= 1e4 else (1, "")
    value = n / scale
    if scale == 1:
        return f"{value:,.0f}"
    return (f"{value:.0f}" if value >= 100 else f"{value:.1f}") + unit


def megabytes(n: float) -> str:
    """Bytes as MB: 38535168 -> "38.5 MB"."""
    return f"{n / 1e6:.1f} MB"


def shape(dims: Shape | None) -> str:
    """(512, 7, 7) -> "512×7×7"; a shape that is not known is a question mark."""
    return "?" if dims is None else "×".join(map(str, dims))


def rate(lr: float) -> str:
    """0.001 -> "1e-3", 0.00025 -> "2.5e-4", 0 -> "0"."""
    if lr == 0:
        return "0"
    mantissa, _, exponent = f"{lr:.2e}".partition("e")
    return f"{mantissa.rstrip('0').rstrip('.')}e{int(exponent)}"


def numbers(trace: Trace, ms: float | None = None, measure: str = "") -> list[dict]:
    """The row of big numbers: a value with its unit, a caption, and the exact value for those who hover.

    ms       milliseconds that the last update took, None before the first
    measure  which of them is laid over the pictures; "" for none

    Those that may be laid over them have `on`. A model that cannot run has parameters, but what
    it would compute and hold is not known: those values are None and shown as a dash.
    """
    totals, runs = trace.totals, trace.failure is None
    unknown = "not known: the model does not run"
    outputs = trace.out_shape[0] if runs and trace.out_shape else None
    return [
        {
            "key": "params",
            "value": totals.params,
            "on": measure == "params",
            "caption": f"parameters, {short(totals.trainable)} train",
            "exact": f"{totals.params:,} parameters, {totals.trainable:,} of them learn",
        },
        {
            "key": "macs",
            "value": totals.macs if runs else None,
            "on": measure == "macs",
            "caption": "MACs per image",
            "exact": f"{totals.macs:,} multiply-accumulates for one image" if runs else unknown,
        },
        {
            "key": "memory",
            "value": totals.activation_bytes if runs else None,
            "on": measure == "memory",
            "caption": "activations per image",
            "exact": f"{totals.activation_bytes:,} bytes, float32" if runs else unknown,
        },
        {
            "key": "outputs",
            "value": outputs,
            "caption": "outputs",
            "exact": unknown if outputs is None else f"{outputs:,} numbers come out for one image",
        },
        {
            "key": "ms",
            "value": None if ms is None else round(ms, 1),
            "caption": "last update",
            "exact": "" if ms is None else f"{ms:.1f} milliseconds to describe the model, without drawing",
        },
    ]
