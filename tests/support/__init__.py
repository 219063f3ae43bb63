"""What tests stand on: servers, clients, images, a scriptable registry, a frozen clock.

Nothing here imports regsync (a frozen clock only follows its Protocol), so that an assertion made with these
modules is a second opinion and never the code under test agreeing with itself.
"""
