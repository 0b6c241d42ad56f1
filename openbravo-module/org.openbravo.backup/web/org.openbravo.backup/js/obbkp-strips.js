// What stands above the grid of the window Backups: the repository, work that is running, the last restore.
(function() {
  var GAP = 10,
    BAR_WIDTH = 260,
    LOWEST_HEIGHT = 26;

  function label(key) {
    return OB.I18N.getLabel('OBBKP_' + key);
  }

  function html(text) {
    return isc.makeXMLSafe(text || '').replace(/\n/g, '<br>');
  }

  function strip(view, members) {
    var made = isc.HLayout.create({
      width: '100%',
      height: LOWEST_HEIGHT,
      membersMargin: GAP,
      layoutLeftMargin: GAP,
      layoutRightMargin: GAP,
      layoutTopMargin: 4,
      layoutBottomMargin: 2,
      defaultLayoutAlign: 'center',
      visibility: 'hidden',
      members: members
    });
    view.gridFormMessageLayout.addMember(made, 0);
    return made;
  }

  function text() {
    return isc.HTMLFlow.create({
      width: '*',
      height: 1,
      overflow: 'visible',
      styleName: 'OBBKP_Text'
    });
  }

  function button(key, act) {
    return isc.OBFormButton.create({
      title: label(key),
      prompt: label(key + 'Help'),
      click: act
    });
  }

  // The strips of one opened window; acts is what their buttons do.
  function Strips(view, acts) {
    this.restoreText = text();
    this.undoButton = button('Undo', acts.undo);
    this.restored = strip(view, [this.restoreText, this.undoButton]);
    this.bar = isc.Progressbar.create({ width: BAR_WIDTH, height: 14 });
    this.workText = text();
    this.cancelButton = button('Cancel', acts.cancel);
    this.work = strip(view, [this.bar, this.workText, this.cancelButton]);
    this.repositoryText = text();
    this.nameButton = button('NameRepository', acts.nameRepository);
    this.testButton = button('Test', acts.test);
    this.repository = strip(view, [
      this.repositoryText,
      this.testButton,
      this.nameButton
    ]);
  }

  // A meter that shows how full the repository's device is.
  function meter(percent) {
    return (
      '<span class="OBBKP_Meter"><span style="width:' +
      Math.max(0, Math.min(100, percent)) +
      '%"></span></span>'
    );
  }

  Strips.prototype.showRepository = function(repository) {
    var content =
      '<b>' + html(repository.title) + '</b> ' + html(repository.text);
    if (repository.usedPercent !== undefined) {
      content += meter(repository.usedPercent) + html(repository.room);
    }
    this.repositoryText.setContents(content);
    this.testButton.setVisibility(
      repository.isNamed === false ? 'hidden' : 'inherit'
    );
    this.repository.show();
  };

  Strips.prototype.showWork = function(work) {
    // How much there is to do is not known at every stage.
    this.bar.setVisibility(
      work.percent === undefined ? 'hidden' : 'inherit'
    );
    this.bar.setPercentDone(work.percent || 0);
    this.workText.setContents(html(work.text));
    this.cancelButton.setVisibility(
      work.isRestore ? 'hidden' : 'inherit'
    );
    this.work.show();
  };

  Strips.prototype.hideWork = function() {
    this.work.hide();
  };

  Strips.prototype.showRestore = function(restore) {
    if (!restore) {
      this.restored.hide();
      return;
    }
    this.restoreText.setContents(
      '<b>' + html(restore.title) + '</b> ' + html(restore.text)
    );
    this.undoButton.setVisibility(restore.canUndo ? 'inherit' : 'hidden');
    this.restored.show();
  };

  OB.OBBKP = { label: label, html: html, Strips: Strips };
})();
