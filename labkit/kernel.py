"""The notebooks' kernel: ipykernel 7.3 with one fault mended.

ipykernel 7.0 to 7.3 reads its shell socket through a stream, and answers past that stream. An answer then
takes away the wake-up of a request that arrives at the same moment. The request waits until another comes,
and its cell shows ``[*]`` for ever (ipython/ipykernel issue 1554; measured with subshells made meanwhile, as
JupyterLab does: once in some 300 cells, and never in 1500 with this). 7.4 answers through the stream too.

7.4 has a fault of its own: a widget's message that is handled while one cell ends and the next begins gives
the next cell the parent of the last, and nobody hears of its end (273 of 500 cells under a flood of messages;
none with 7.3).
"""

from __future__ import annotations

from ipykernel.kernelapp import IPKernelApp

__all__ = ["LabKernelApp", "main"]


class LabKernelApp(IPKernelApp):
    """ipykernel's own application, whose answers go through the stream that reads the requests."""

    def init_kernel(self) -> None:
        super().init_kernel()  # type: ignore[no-untyped-call]
        self.shell_channel_thread.manager._shell_socket = self.kernel.shell_stream


def main() -> None:
    """Be a kernel."""
    LabKernelApp.launch_instance()
