// The page that Module Management shows while the backup before a change is taken.
(function() {
  var POLL_MILLISECONDS = 1000,
    body = document.body,
    finished = Number(body.getAttribute('data-finished')),
    waits = null;

  function element(id) {
    return document.getElementById(id);
  }

  function send() {
    element('request').submit();
  }

  function fail(title, text) {
    if (title !== null) {
      element('reason').textContent = title;
      element('hint').textContent = text;
    }
    element('bar').hidden = true;
    element('stage').hidden = true;
    element('failure').hidden = false;
  }

  function show(status) {
    if (status.running) {
      if (status.percent === undefined) {
        element('bar').removeAttribute('value');
      } else {
        element('bar').value = status.percent;
      }
      element('stage').textContent = status.text;
      window.setTimeout(ask, POLL_MILLISECONDS);
    } else if (status.finished === finished || status.outcome.type === 'success') {
      // Also when somebody else's work has kept this backup from beginning: it begins now.
      send();
    } else {
      fail(status.outcome.title, status.outcome.text);
    }
  }

  function ask() {
    var request = new XMLHttpRequest();
    request.open('POST', body.getAttribute('data-status'));
    request.setRequestHeader('Content-Type', 'application/json;charset=UTF-8');
    request.onload = function() {
      var status = null;
      try {
        status = JSON.parse(request.responseText);
      } catch (e) {
        // Not from the handler: the session has ended, or the server has.
      }
      if (status && status.running !== undefined) {
        show(status);
      } else {
        fail('', request.status + ' ' + request.statusText);
      }
    };
    request.onerror = function() {
      // The network may come back; the backup goes on meanwhile.
      waits = window.setTimeout(ask, 5 * POLL_MILLISECONDS);
    };
    request.send(JSON.stringify({ csrfToken: body.getAttribute('data-token') }));
  }

  element('again').onclick = function() {
    window.clearTimeout(waits);
    send();
  };
  if (body.getAttribute('data-failed') === 'true') {
    fail(null);
  } else {
    ask();
  }
})();
