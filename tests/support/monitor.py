"""FixWurx's SystemMonitor, as far as it is the cluster's business."""

from typing import Any

__all__ = ["SystemMonitor"]


class SystemMonitor:
    """As FixWurx has it: it knows an engine by its attributes, and a bus by `send`."""

    def __init__(self, engine: Any, metric_bus: Any) -> None:
        self.engine, self.metric_bus = engine, metric_bus

    def emit_tick(self) -> None:
        self.metric_bus.send("triangulum.tick_count", self.engine.tick_count)
        self.metric_bus.send("triangulum.scope_entropy", self.engine.scope_entropy)
        for agent_id, share in self.engine.agent_utilization.items():
            self.metric_bus.send("triangulum.agent_utilization", share, tags={"agent_id": agent_id})
        for component, errors in self.engine.error_state.items():
            self.metric_bus.send("triangulum.errors", len(errors), tags={"component": component})
        for name, figure in self.engine.planner_metrics.items():
            self.metric_bus.send(f"triangulum.planner.{name}", figure)
