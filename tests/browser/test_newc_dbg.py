import sys; sys.path.insert(0,'/work/main/tests/browser')
from test_screenshots import *
def test_dbg(lab):
    notebook = lab.new([START, *EXPLORERS.values()], size=SIZE)
    notebook.run_all()
    import re
    for i,c in enumerate(notebook.cells()):
        for o in c.get('outputs',[]):
            if o['output_type']=='error': print(i, re.sub(r'\x1b\[[0-9;]*m','','\n'.join(o['traceback'])))
    assert 0
