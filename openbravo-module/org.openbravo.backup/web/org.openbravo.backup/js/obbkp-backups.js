// The window Backups: its buttons, and what is seen above the grid while work is running.
(function() {
  var TAB_ID = '39927EDA97E19311BCC91627C244B143',
    HANDLERS = 'org.openbravo.backup.erp.',
    PARTS = ['database', 'sources', 'deploy', 'attachments', 'configuration'],
    POLL_MILLISECONDS = 1000,
    DATE_WIDTH = 140,
    watched = {};

  function label(key) {
    return OB.I18N.getLabel('OBBKP_' + key);
  }

  function lines(text) {
    return isc.makeXMLSafe(text || '').replace(/\n/g, '<br>');
  }

  function say(view, message) {
    var types = {
      success: isc.OBMessageBar.TYPE_SUCCESS,
      warning: isc.OBMessageBar.TYPE_WARNING,
      error: isc.OBMessageBar.TYPE_ERROR,
      info: isc.OBMessageBar.TYPE_INFO
    };
    view.messageBar.setMessage(
      types[message.type],
      lines(message.title),
      lines(message.text)
    );
  }

  function ask(view, handler, request) {
    OB.RemoteCallManager.call(
      HANDLERS + handler,
      request || {},
      {},
      function(response, answer) {
        if (!view.destroyed && answer) {
          answered(view, answer);
        }
      }
    );
  }

  // A bar with the stage beside it; made when it is first needed.
  function bar(view) {
    if (!view.obbkpBar) {
      view.obbkpProgress = isc.Progressbar.create({ width: 260, height: 14 });
      view.obbkpText = isc.Label.create({ width: '*', height: 20, contents: '' });
      view.obbkpBar = isc.HLayout.create({
        height: 26,
        membersMargin: 10,
        layoutMargin: 4,
        defaultLayoutAlign: 'center',
        visibility: 'hidden',
        members: [view.obbkpProgress, view.obbkpText]
      });
      view.gridFormMessageLayout.addMember(view.obbkpBar, 0);
    }
    return view.obbkpBar;
  }

  function answered(view, answer) {
    var state = watched[view.ID],
      isNew;
    state.running = answer.running === true;
    if (state.running) {
      bar(view).show();
      view.obbkpProgress.setPercentDone(answer.percent || 0);
      view.obbkpText.setContents(lines(answer.text));
      isc.Timer.setTimeout(function() {
        if (!view.destroyed && !state.asking) {
          state.asking = true;
          OB.RemoteCallManager.call(
            HANDLERS + 'StatusHandler',
            {},
            {},
            function(response, next) {
              state.asking = false;
              if (!view.destroyed && next) {
                answered(view, next);
              }
            }
          );
        }
      }, POLL_MILLISECONDS);
    } else {
      bar(view).hide();
    }
    isNew = answer.finished !== undefined && answer.finished !== state.finished;
    if (isNew) {
      state.finished = answer.finished;
      if (answer.outcome) {
        say(view, {
          type: answer.outcome.type,
          title: answer.outcome.title,
          text: [answer.outcome.text, answer.summary].filter(Boolean).join('\n')
        });
        view.refresh();
      }
    }
    if (answer.unconfigured) {
      say(view, {
        type: 'info',
        title: label('NoRepository'),
        text: label('NoRepositoryHelp')
      });
    } else if (answer.problem) {
      say(view, answer.problem);
    } else if (answer.answer) {
      say(view, answer.answer);
    } else if (answer.summary) {
      if (!isNew || !answer.outcome) {
        say(view, { type: 'info', title: answer.summary, text: '' });
      }
      view.refresh();
    }
    view.toolBar.updateButtonState(true);
  }

  // The grid gives a date with its time the width of a date.
  function widen(grid) {
    var number = grid.getFieldNum('dateTaken');
    if (number >= 0 && grid.getField(number).width < DATE_WIDTH) {
      grid.resizeField(number, DATE_WIDTH);
    }
  }

  // Once for each opened window: what the repository holds now.
  function watch(view) {
    if (!watched[view.ID]) {
      watched[view.ID] = { running: false };
      widen(view.viewGrid);
      ask(view, 'RefreshHandler');
    }
    return watched[view.ID];
  }

  function selected(view) {
    var records = view.viewGrid.getSelectedRecords();
    return records && records.length === 1 ? records[0] : null;
  }

  function dialog(title, fields, action, width, height) {
    var popup, form, buttons;
    form = isc.DynamicForm.create({
      autoFocus: true,
      titleOrientation: 'top',
      numCols: 1,
      width: '100%',
      fields: fields
    });
    buttons = isc.HStack.create({ height: 30, membersMargin: 10, align: 'center' });
    buttons.addMembers([
      isc.OBFormButton.create({
        title: title,
        action: function() {
          if (form.validate()) {
            action(form.getValues());
            popup.closeClick();
          }
        }
      }),
      isc.OBFormButton.create({
        title: OB.I18N.getLabel('UINAVBA_Cancel'),
        action: function() {
          popup.closeClick();
        }
      })
    ]);
    popup = isc.OBPopup.create({
      title: title,
      width: width,
      height: height,
      showMinimizeButton: false,
      showMaximizeButton: false,
      items: [
        isc.VLayout.create({
          width: '100%',
          height: '100%',
          layoutMargin: 15,
          membersMargin: 12,
          members: [form, buttons]
        })
      ]
    });
    popup.show();
  }

  function backUp(view) {
    var fields = [
      {
        name: 'label',
        title: label('Label'),
        type: 'OBTextItem',
        width: 380,
        length: 255
      }
    ];
    PARTS.forEach(function(part) {
      fields.push({
        name: part,
        title: label('Part_' + part),
        type: 'checkbox',
        defaultValue: true
      });
    });
    dialog(
      label('BackUpNow'),
      fields,
      function(values) {
        var parts = PARTS.filter(function(part) {
          return values[part] !== false;
        });
        ask(view, 'BackupHandler', {
          label: values.label || '',
          parts: parts.length === PARTS.length ? [] : parts
        });
      },
      430,
      330
    );
  }

  function nameRepository(view) {
    dialog(
      label('NameRepository'),
      [
        {
          name: 'repository',
          title: label('RepositoryPath'),
          type: 'OBTextItem',
          width: 420,
          required: true
        }
      ],
      function(values) {
        OB.RemoteCallManager.call(
          HANDLERS + 'RepositoryHandler',
          { repository: values.repository },
          {},
          function(response, answer) {
            if (answer && answer.problem) {
              answered(view, answer);
            } else {
              ask(view, 'RefreshHandler');
            }
          }
        );
      },
      470,
      190
    );
  }

  function button(name, position, act, isEnabled) {
    OB.ToolbarRegistry.registerButton(
      'obbkp_' + name,
      isc.OBToolbarTextButton,
      {
        title: label(name),
        prompt: label(name + 'Help'),
        action: function() {
          act(this.view);
        },
        updateState: function() {
          this.setDisabled(!isEnabled(watch(this.view), this.view));
        }
      },
      position,
      TAB_ID
    );
  }

  function idle(state) {
    return !state.running;
  }

  function idleWithOne(state, view) {
    return !state.running && selected(view) !== null;
  }

  button('BackUpNow', 500, backUp, idle);
  button(
    'Cancel',
    510,
    function(view) {
      ask(view, 'CancelHandler');
    },
    function(state) {
      return state.running;
    }
  );
  button(
    'Verify',
    520,
    function(view) {
      ask(view, 'VerifyHandler', { row: selected(view).id });
    },
    idleWithOne
  );
  button(
    'Delete',
    530,
    function(view) {
      var record = selected(view);
      isc.ask(label('DeleteConfirm') + ' ' + record._identifier, function(yes) {
        if (yes) {
          ask(view, 'DeleteHandler', { row: record.id });
        }
      });
    },
    idleWithOne
  );
  button(
    'Refresh',
    540,
    function(view) {
      ask(view, 'RefreshHandler');
    },
    idle
  );
  button(
    'Test',
    550,
    function(view) {
      ask(view, 'TestHandler');
    },
    idle
  );
  button('NameRepository', 560, nameRepository, idle);
})();
