// The window Backups: its buttons, and what is seen above the grid.
(function() {
  var TAB_ID = '39927EDA97E19311BCC91627C244B143',
    HANDLERS = 'org.openbravo.backup.erp.',
    POLL_MILLISECONDS = 1000,
    TIMEOUT_MILLISECONDS = 10000,
    // What stands in for the application during a restore says so by this.
    STAND_IN = 'X-Obbackup',
    NOT_FOUND = 404,
    // The grid gives a date with its time the width of a date, and no text more than 200.
    WIDTHS = { dateTaken: 140, backupLabel: 250 },
    NAME_LENGTH = 80,
    label = OB.OBBKP.label,
    html = OB.OBBKP.html,
    dialogs = OB.OBBKP.dialogs;

  function say(view, message) {
    var types = {
      success: isc.OBMessageBar.TYPE_SUCCESS,
      warning: isc.OBMessageBar.TYPE_WARNING,
      error: isc.OBMessageBar.TYPE_ERROR,
      info: isc.OBMessageBar.TYPE_INFO
    };
    view.messageBar.setMessage(
      types[message.type],
      html(message.title),
      html(message.text)
    );
  }

  function call(view, handler, request, then) {
    OB.RemoteCallManager.call(
      HANDLERS + handler,
      request || {},
      {},
      function(response, answer) {
        if (!view.destroyed && answer) {
          then(answer);
        }
      }
    );
  }

  function ask(view, handler, request) {
    view.messageBar.hide();
    call(view, handler, request, function(answer) {
      answered(view, answer);
    });
  }

  function refresh(view) {
    view.messageBar.hide();
    call(view, 'RefreshHandler', {}, function(answer) {
      // Not even what is running can be said: the library is missing or unfit.
      view.obbkpState.isBroken = answer.running === undefined;
      answered(view, answer);
    });
  }

  function wait(view) {
    view.obbkpStrips.showWork({ text: label('Waiting'), isRestore: true });
  }

  // A restore stops the application: then this goes on on the page that stands in for it, which opens the
  // application when that answers again.
  function leave(view, state) {
    // Seen for as long as Tomcat, which has the port again when it starts, lets the browser wait.
    wait(view);
    window.location.replace(state.page || OB.Application.contextUrl);
  }

  // Asks how far the work is. Not by the remote call manager, which shows an error where the application is down.
  function poll(view, state) {
    var request = new XMLHttpRequest();
    state.polling = true;
    request.open(
      'POST',
      OB.Application.contextUrl +
        'org.openbravo.client.kernel?_action=' +
        HANDLERS +
        'StatusHandler'
    );
    request.setRequestHeader('Content-Type', 'application/json;charset=UTF-8');
    // A server that is being stopped can leave a request without an answer.
    request.timeout = TIMEOUT_MILLISECONDS;
    request.onloadend = function() {
      var answer = null,
        isAnswered,
        isStandIn,
        isMissing;
      state.polling = false;
      if (view.destroyed) {
        return;
      }
      try {
        answer = JSON.parse(request.responseText);
      } catch (e) {
        // Not from the handler.
      }
      isAnswered = answer && answer.running !== undefined;
      isStandIn = request.getResponseHeader(STAND_IN) !== null;
      isMissing = request.status >= NOT_FOUND && !isAnswered && !isStandIn;
      if (request.status === 0 || (state.isRestoring && isMissing)) {
        // Nobody there, or the server is being stopped: the page is on its way, or cannot be had on this port.
        state.isDown = state.isRestoring;
        wait(view);
        later(view, state);
      } else if (state.isDown || isStandIn) {
        leave(view, state);
      } else if (isAnswered) {
        answered(view, answer);
      } else if (state.isRestoring) {
        // Stopped and started again between two requests, and the session is another one.
        leave(view, state);
      } else {
        // The session has ended.
        view.obbkpStrips.hideWork();
      }
    };
    request.send(JSON.stringify({ csrfToken: OB.User.csrfToken }));
  }

  function later(view, state) {
    if (!state.polling) {
      state.polling = true;
      isc.Timer.setTimeout(function() {
        poll(view, state);
      }, POLL_MILLISECONDS);
    }
  }

  function answered(view, answer) {
    var state = view.obbkpState,
      strips = view.obbkpStrips,
      message = answer.problem || answer.answer;
    // A failure says nothing of what is running.
    if (answer.running !== undefined) {
      if (state.isRestoring && !answer.isRestore) {
        // It has ended before it stopped the application.
        message = message || answer.restored;
        refresh(view);
      }
      state.running = answer.running;
      state.isRestoring = answer.isRestore === true;
      if (state.running) {
        strips.showWork(answer);
        later(view, state);
      } else {
        strips.hideWork();
      }
    }
    if (answer.page) {
      state.page = answer.page;
    }
    if (answer.isChanged) {
      view.refresh();
    }
    if (answer.repository) {
      strips.showRepository(answer.repository);
      strips.showRestore(answer.lastRestore);
      view.refresh();
    }
    if (
      answer.finished !== undefined &&
      answer.finished !== state.finished &&
      !state.running
    ) {
      state.finished = answer.finished;
      message = message || answer.outcome;
      if (!answer.repository) {
        refresh(view);
      }
    }
    if (message) {
      say(view, message);
    }
    view.toolBar.updateButtonState(true);
  }

  function widen(grid) {
    Object.keys(WIDTHS).forEach(function(name) {
      var number = grid.getFieldNum(name);
      if (number >= 0 && grid.getField(number).width < WIDTHS[name]) {
        grid.resizeField(number, WIDTHS[name]);
      }
    });
  }

  function nameRepository(view) {
    dialogs.nameRepository(function(values) {
      call(view, 'RepositoryHandler', values, function(answer) {
        answered(view, answer);
        if (!answer.problem) {
          refresh(view);
        }
      });
    });
  }

  // Shows what would be done, and does it when the instance's name was typed.
  function replace(view, request) {
    say(view, { type: 'info', title: label('Planning'), text: '' });
    request.isPlan = true;
    call(view, 'RestoreHandler', request, function(answer) {
      view.messageBar.hide();
      if (!answer.plan) {
        answered(view, answer);
        return;
      }
      dialogs.replace(answer.plan, function(instance) {
        request.isPlan = false;
        request.instance = instance;
        say(view, { type: 'info', title: label('HandingOver'), text: '' });
        call(view, 'RestoreHandler', request, function(begun) {
          view.messageBar.hide();
          answered(view, begun);
        });
      });
    });
  }

  // Once for each opened window: what the repository holds now.
  function watch(view) {
    if (!view.obbkpState) {
      view.obbkpState = { running: false };
      view.obbkpStrips = new OB.OBBKP.Strips(view, {
        cancel: function() {
          ask(view, 'CancelHandler');
        },
        nameRepository: function() {
          nameRepository(view);
        },
        test: function() {
          ask(view, 'TestHandler');
        },
        undo: function() {
          replace(view, { isUndo: true });
        }
      });
      widen(view.viewGrid);
      refresh(view);
    }
    return view.obbkpState;
  }

  function selected(view) {
    var records = view.viewGrid.getSelectedRecords();
    return records && records.length === 1 ? records[0] : null;
  }

  // What a person knows a backup by.
  function named(record) {
    var taken = OB.Utilities.Date.JSToOB(record.dateTaken, OB.Format.dateTime);
    return [record._identifier, taken, record.backupLabel]
      .filter(Boolean)
      .join(', ')
      .slice(0, NAME_LENGTH);
  }

  function button(name, position, act, needsOne, update) {
    OB.ToolbarRegistry.registerButton(
      'obbkp_' + name,
      isc.OBToolbarTextButton,
      {
        title: label(name),
        prompt: label(name + 'Help'),
        action: function() {
          if (this.view.obbkpState.isBroken) {
            // Says again what is wrong, or finds it mended.
            refresh(this.view);
          } else {
            act(this.view, needsOne ? selected(this.view) : null);
          }
        },
        updateState: function() {
          var state = watch(this.view),
            record = selected(this.view);
          this.setDisabled(state.running || (needsOne && record === null));
          if (update) {
            update(this, record);
          }
        }
      },
      position,
      TAB_ID
    );
  }

  button('BackUpNow', 500, function(view) {
    var dialog;
    view.messageBar.hide();
    dialog = dialogs.backUp(function(request) {
      ask(view, 'BackupHandler', request);
    });
    call(view, 'BackupHandler', { isPlan: true }, function(plan) {
      if (!dialog.isOpen()) {
        return;
      }
      if (plan.parts) {
        dialog.showParts(plan.parts);
      } else {
        dialog.close();
        answered(view, plan);
      }
    });
  });
  button(
    'Restore',
    510,
    function(view, record) {
      replace(view, { row: record.id });
    },
    true
  );
  button(
    'Verify',
    520,
    function(view, record) {
      ask(view, 'VerifyHandler', { row: record.id });
    },
    true
  );
  button(
    'Pin',
    530,
    function(view, record) {
      ask(view, 'PinHandler', { row: record.id, pinned: !record.pinned });
    },
    true,
    function(me, record) {
      me.setTitle(label(record && record.pinned ? 'Unpin' : 'Pin'));
    }
  );
  button(
    'Delete',
    540,
    function(view, record) {
      isc.ask(label('DeleteConfirm') + ' ' + html(named(record)), function(yes) {
        if (yes) {
          ask(view, 'DeleteHandler', { row: record.id });
        }
      });
    },
    true
  );
  button('Refresh', 550, function(view) {
    refresh(view);
  });
})();
