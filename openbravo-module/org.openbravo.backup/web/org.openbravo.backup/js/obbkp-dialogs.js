// The dialogs of the window Backups.
(function() {
  var label = OB.OBBKP.label,
    html = OB.OBBKP.html,
    BACKUP_HEIGHT = 175,
    PART_HEIGHT = 37,
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

  // Asks for some values and gives them to action.
  function form(title, go, fields, action, width, height) {
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
    made = popup(title, width, height, [values, buttons([ok, cancel])]);
  }

  // Asks for a label, and which of the instance's parts to save.
  function backUp(parts, action) {
    var fields = [
      {
        name: 'label',
        title: label('Label'),
        type: 'OBTextItem',
        width: 380,
        length: 255
      }
    ];
    parts.forEach(function(part) {
      fields.push({
        name: part,
        title: label('Part_' + part),
        type: 'checkbox',
        defaultValue: true
      });
    });
    form(
      label('BackUpNow'),
      label('BackUpNow'),
      fields,
      function(values) {
        var wanted = parts.filter(function(part) {
          return values[part] !== false;
        });
        action({
          label: values.label || '',
          parts: wanted.length === parts.length ? [] : wanted
        });
      },
      430,
      BACKUP_HEIGHT + parts.length * PART_HEIGHT
    );
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
