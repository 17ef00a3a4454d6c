"""What a policy does to a workload, without a cluster: simulated, and compared with others."""

from fixwurx_celery.simulation.outcome import Outcome
from fixwurx_celery.simulation.run import Orders, Scaler, Setup, simulate
from fixwurx_celery.simulation.trace import Arrival, Trace, read_trace
from fixwurx_celery.simulation.workloads import TRACES, make_trace

__all__ = [
    "TRACES",
    "Arrival",
    "Orders",
    "Outcome",
    "Scaler",
    "Setup",
    "Trace",
    "make_trace",
    "read_trace",
    "simulate",
]
