"""What a node tells its operators, and what they may tell it; the management API and the metrics show exactly this.

    itself      which node it is, whether it serves, its audit log
    links       its QKD links, now and over time
    peers       other nodes, and the key streams with them
    network     topology, relay, other domains
    views       what is asked of a node, and by whom

Plain values, which go over the management API as they are.
"""

from keyhop.link.adapter import Attack as Attack
from keyhop.link.adapter import Disturbance as Disturbance
from keyhop.link.adapter import Eavesdropper as Eavesdropper
from keyhop.link.adapter import MeasuringBasis as MeasuringBasis
from keyhop.node.state.itself import AuditInfo as AuditInfo
from keyhop.node.state.itself import NodeInfo as NodeInfo
from keyhop.node.state.itself import Readiness as Readiness
from keyhop.node.state.links import LinkActivity as LinkActivity
from keyhop.node.state.links import LinkInfo as LinkInfo
from keyhop.node.state.links import LinkSample as LinkSample
from keyhop.node.state.network import AvoidedEdge as AvoidedEdge
from keyhop.node.state.network import Fairness as Fairness
from keyhop.node.state.network import GatewayInfo as GatewayInfo
from keyhop.node.state.network import RelayInfo as RelayInfo
from keyhop.node.state.network import TopologyEdge as TopologyEdge
from keyhop.node.state.network import TopologyInfo as TopologyInfo
from keyhop.node.state.network import TopologyNode as TopologyNode
from keyhop.node.state.peers import ACCOUNTS as ACCOUNTS
from keyhop.node.state.peers import PeerInfo as PeerInfo
from keyhop.node.state.peers import PskInfo as PskInfo
from keyhop.node.state.peers import StreamInfo as StreamInfo
from keyhop.node.state.views import NetworkView as NetworkView
from keyhop.node.state.views import NodeControl as NodeControl
from keyhop.node.state.views import NodeView as NodeView
