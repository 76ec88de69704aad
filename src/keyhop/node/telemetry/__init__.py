"""What a node tells while it runs: logs that cannot hold key bytes, and metrics.

logs       structlog and the standard library's logging in one stream of JSON or text
plain      what may be written of a value: plain data; of everything else only its type
metrics    Prometheus counters, histograms, and gauges that are read when scraped
tallies    what happens for each request, counted cheaply and made into metrics when scraped
"""

from keyhop.node.telemetry.logs import configure_logging
from keyhop.node.telemetry.metrics import Metrics

__all__ = ["Metrics", "configure_logging"]
