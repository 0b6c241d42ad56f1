// The dialogs of the window Backups.
(function() {
  var label = OB.OBBKP.label,
    html = OB.OBBKP.html,
    BACKUP_HEIGHT = 175,
    PART_HEIGHT = 37,
    USUAL_PARTS = 5,
    FORM_INDENT = 8,
    PLAN_WIDTH = 640,
    PLAN_HEIGHT = 520;

  function popup(title, width, height, members) {
    var made = isc.OBPopup.create({
      title: title,
      width: width,
      height: height,
      autoSize: false,
      showMinimizeButton: false,
      showMaximizeButton: false,
      items: [
        isc.VLayout.create({
          width: '100%',
          height: '100%',
          layoutMargin: 15,
          membersMargin: 12,
          members: members
        })
      ]
    });
    made.show();
    return made;
  }

  function buttons(members) {
    return isc.HStack.create({
      height: 30,
      width: '100%',
      align: 'center',
      membersMargin: 10,
      members: members
    });
  }

  // Asks for some values and gives them to action; what is below stands between them and the buttons.
  function form(title, go, fields, action, width, height, below) {
    var values = isc.DynamicForm.create({
        autoFocus: true,
        titleOrientation: 'top',
        numCols: 1,
        width: '100%',
        fields: fields
      }),
      made,
      ok = isc.OBFormButton.create({
        title: go,
        click: function() {
          if (values.validate()) {
            action(values.getValues());
            made.closeClick();
          }
        }
      }),
      cancel = isc.OBFormButton.create({
        title: label('Cancel'),
        click: function() {
          made.closeClick();
        }
      });
    made = popup(
      title,
      width,
      height,
      [values].concat(below || [], buttons([ok, cancel]))
    );
    return { popup: made, ok: ok };
  }

  function backUpHeight(parts) {
    return BACKUP_HEIGHT + parts * PART_HEIGHT;
  }

  // Asks for a label, and which of the instance's parts to save. Which it has is told later by showParts, because the
  // repository may take long to answer: until then all can be saved.
  function backUp(action) {
    var known = [],
      boxes = null,
      choice = isc.VLayout.create({
        width: '100%',
        height: '*',
        members: [
          isc.HTMLFlow.create({
            width: '100%',
            padding: FORM_INDENT,
            styleName: 'OBBKP_Text',
            contents: html(label('PartsAwaited'))
          })
        ]
      }),
      made;

    function wanted() {
      return known.filter(function(part) {
        return boxes.getValue(part) !== false;
      });
    }

    made = form(
      label('BackUpNow'),
      label('BackUpNow'),
      [
        {
          name: 'label',
          title: label('Label'),
          type: 'OBTextItem',
          width: 380,
          length: 255
        }
      ],
      function(values) {
        var parts = wanted();
        action({
          label: values.label || '',
          parts: parts.length === known.length ? [] : parts
        });
      },
      430,
      backUpHeight(USUAL_PARTS),
      [choice]
    );
    return {
      isOpen: function() {
        return !made.popup.destroyed && made.popup.isVisible();
      },
      close: function() {
        made.popup.closeClick();
      },
      showParts: function(parts) {
        known = parts;
        boxes = isc.DynamicForm.create({
          titleOrientation: 'top',
          numCols: 1,
          width: '100%',
          fields: parts.map(function(part) {
            return {
              name: part,
              title: label('Part_' + part),
              type: 'checkbox',
              defaultValue: true
            };
          }),
          itemChanged: function() {
            made.ok.setDisabled(wanted().length === 0);
          }
        });
        choice.setMembers([boxes]);
        made.popup.setHeight(backUpHeight(parts.length));
      }
    };
  }

  function nameRepository(action) {
    form(
      label('RepositoryTitle'),
      label('RepositoryUse'),
      [
        {
          name: 'repository',
          title: label('RepositoryPath'),
          type: 'OBTextItem',
          width: 420,
          required: true
        }
      ],
      action,
      470,
      190
    );
  }

  function table(heading, rows) {
    if (!rows.length) {
      return '';
    }
    return (
      '<h3>' +
      html(heading) +
      '</h3><table>' +
      rows
        .map(function(row) {
          return '<tr><td>' + row.map(html).join('</td><td>') + '</td></tr>';
        })
        .join('') +
      '</table>'
    );
  }

  function list(heading, texts, styleName) {
    if (!texts.length) {
      return '';
    }
    return (
      '<h3>' +
      html(heading) +
      '</h3><ul class="' +
      styleName +
      '"><li>' +
      texts.map(html).join('</li><li>') +
      '</li></ul>'
    );
  }

  function planText(plan) {
    return (
      '<div class="OBBKP_Plan">' +
      list(label('PlanProblems'), plan.problems, 'OBBKP_Problems') +
      table(label('PlanBackup'), plan.facts) +
      table(label('PlanParts'), plan.parts) +
      list(label('PlanLost'), plan.lost, 'OBBKP_Warnings') +
      table(label('PlanRoom'), plan.room) +
      list(label('PlanNotes'), plan.notes, '') +
      '<p>' +
      html(plan.explanation) +
      '</p></div>'
    );
  }

  // Shows the native plan; the instance's name has to be typed before action is called.
  function replace(plan, action) {
    var made, go, confirmation;
    go = isc.OBFormButton.create({
      title: plan.button,
      disabled: true,
      click: function() {
        go.disable();
        action(confirmation.getValue('instance'));
        made.closeClick();
      }
    });
    confirmation = isc.DynamicForm.create({
      autoFocus: true,
      titleOrientation: 'top',
      numCols: 1,
      width: '100%',
      visibility: plan.problems.length ? 'hidden' : 'inherit',
      fields: [
        {
          name: 'instance',
          title: plan.confirmation,
          type: 'OBTextItem',
          width: 300,
          changed: function(item, values, value) {
            go.setDisabled(value !== plan.instance);
          }
        }
      ]
    });
    made = popup(plan.title, PLAN_WIDTH, PLAN_HEIGHT, [
      isc.HTMLFlow.create({
        width: '100%',
        height: '*',
        overflow: 'auto',
        contents: planText(plan)
      }),
      confirmation,
      buttons([
        go,
        isc.OBFormButton.create({
          title: label('Cancel'),
          click: function() {
            made.closeClick();
          }
        })
      ])
    ]);
  }

  OB.OBBKP.dialogs = {
    backUp: backUp,
    nameRepository: nameRepository,
    replace: replace
  };
})();
